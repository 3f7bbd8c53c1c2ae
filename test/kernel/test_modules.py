"""Imports: packages of every kind, local files, edited files, and what is said when something is missing."""

import json
import os
from pathlib import Path

import pytest
from client import Kernel

root = Path(__file__).parents[2]


def write(folder, **files):
    """Writes files; `__` in a name stands for a dot, `___` for a slash."""
    for name, text in files.items():
        put(folder, name.replace("___", "/").replace("__", "."), text)


def put(folder, path, text):
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def package(folder, name, files, **fields):
    home = folder / "node_modules" / name
    put(home, "package.json", json.dumps({"name": name, "version": "1.0.0", **fields}))
    for path, text in files.items():
        put(home, path, text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("modules")


@pytest.fixture(scope="module")
def kernel(kernels_folder, folder):
    with Kernel(kernels_folder, folder) as kernel:
        yield kernel


def shown(kernel, code):
    cell = kernel.run(code)
    assert cell.reply["status"] == "ok", cell.traceback
    return cell.result


def failure(kernel, code):
    cell = kernel.run(code)
    assert cell.reply["status"] == "error", cell.result
    return cell.traceback


def test_packages(kernel, folder):
    package(folder, "esm-only", {"index.js": "export const a = 1; export default 2"}, type="module", exports="./index.js")
    package(folder, "waits", {"index.mjs": "export const late = await Promise.resolve(3)"}, main="index.mjs")
    package(folder, "common", {"index.js": "exports.named = 4; exports.again = () => require('./inner.js');", "inner.js": "module.exports = 5"})
    package(
        folder,
        "@scope/mapped",
        {"lib/main.js": "export const main = 6", "lib/sub.js": "export const sub = 7", "hidden.js": ""},
        type="module",
        exports={".": {"import": "./lib/main.js"}, "./sub": "./lib/sub.js"},
    )
    code = """import two, { a } from "esm-only";
        import { late } from "waits";
        import { named, again } from "common";
        import * as common from "common";
        import { main } from "@scope/mapped";
        import { sub } from "@scope/mapped/sub";
        import { basename } from "node:path";
        import { readFileSync } from "fs";
        const { main: dynamic } = await __import("@scope/mapped");
        [a, two, late, named, again(), common.default.named, main, sub, dynamic, basename("a/b"), typeof readFileSync].join()"""
    assert shown(kernel, code) == "'1,2,3,4,5,4,6,7,6,b,function'"


def test_json_with_and_without_attributes(kernel, folder):
    put(folder, "data.json", '{"n": 1}')
    code = """const one = await __import("./data.json", { with: { type: "json" } });
        const two = await __import("./data.json");
        [one.default.n, two.default === one.default, require("./data.json").n].join()"""
    assert shown(kernel, code) == "'1,true,1'"
    put(folder, "data.json", '{"n": 22}')
    assert shown(kernel, code) == "'22,true,22'"


def test_a_local_file_by_every_name(kernel, folder):
    put(folder, "names.ts", "export const n: number = 1;")
    put(folder, "strict.mts", "export const n: number = 2;")
    put(folder, "common.cts", "const n: number = 3; exports.n = n;")
    put(folder, "plain.js", "export const n = 4;")
    put(folder, "shelf/index.ts", 'export { n } from "./deep.js"; export * as up from "../names";')
    put(folder, "shelf/deep.ts", "export const n: number = 5;")
    names = ["./names.ts", "./names.js", "./names", "./strict.mts", "./strict.mjs", "./common.cts", "./common.cjs", "./plain.js", "./plain"]
    names += ["./shelf/index.ts", "./shelf", "./shelf/", str(folder / "names"), (folder / "names.ts").as_uri()]
    found = [shown(kernel, f"(await __import({json.dumps(name)})).n") for name in names]
    assert found == list("111222334") [:3] + ["2", "2", "3", "3", "4", "4", "5", "5", "5", "1", "1"]
    same = 'await __import("./names.ts") === await __import("./names") && (await __import("./shelf")).up === await __import("./names.js")'
    assert shown(kernel, same) == "true"


def test_typescript_is_taken_before_its_own_output(kernel, folder):
    put(folder, "built.js", "export const from = 'js'")
    put(folder, "built.ts", "export const from: string = 'ts'")
    assert shown(kernel, '(await __import("./built.js")).from') == "'ts'"


def test_a_file_whose_package_is_commonjs(kernel, folder):
    put(folder, "old/package.json", '{"type": "commonjs"}')
    put(folder, "old/esm.ts", "import { basename } from 'node:path';\nexport const n = basename('x/5') as string;")
    put(folder, "old/cjs.ts", "const path = require('node:path');\nmodule.exports = { n: path.basename('x/6') as string };")
    assert shown(kernel, '[(await __import("./old/esm")).n, (await __import("./old/cjs")).n, require("./old/cjs").n].join()') == "'5,6,6'"


def test_syntax_that_cannot_be_erased(kernel, folder):
    put(
        folder,
        "rich.ts",
        """import { Plain, value } from "./types";
export enum Color { Red, Green = 5 }
export namespace Space { export const inner = 1 }
const logged: string[] = [];
function log(target: unknown, context: ClassMethodDecoratorContext) { logged.push(String(context.name)); }
export class Point {
  constructor(public x: number, private y = 2) {}
  @log
  sum(): number { return this.x + this.y; }
  accessor z = 3;
}
export const all = (p: Plain) => [p.n, value, logged];
""",
    )
    put(folder, "types.ts", "export interface Plain { n: number }\nexport const value = 9;")
    code = """import { Color, Space, Point, all } from "./rich";
        [Color.Green, Space.inner, new Point(1).sum(), new Point(1).z, ...all({ n: 8 })].join()"""
    assert shown(kernel, code) == "'5,1,3,3,8,9,sum'"


def test_a_file_with_jsx(kernel, folder):
    put(folder, "view.tsx", "/** @jsx h */\nimport { h } from './h';\nexport const view = (text: string) => <p id={text}>{text}</p>;\n")
    put(folder, "h.ts", "export const h = (...parts: unknown[]) => JSON.stringify(parts);\n")
    for name in ["./view", "./view.tsx", "./view.js"]:
        assert kernel.run(f"import {{ view }} from '{name}'\nview('a')").result == """'["p",{"id":"a"},"a"]'"""


def test_legacy_decorators_of_a_tsconfig(kernel, folder):
    put(folder, "legacy/tsconfig.json", '{ "compilerOptions": { "experimentalDecorators": true } }')
    put(
        folder,
        "legacy/model.ts",
        """const seen: string[] = [];
const field = (target: object, key: string) => { seen.push(key); };
export class Model { @field name = "x"; }
export { seen };""",
    )
    assert shown(kernel, '(await __import("./legacy/model.ts")).seen.join()') == "'name'"


def test_a_type_imported_without_saying_so(kernel, folder):
    put(folder, "shapes.ts", "export interface Shape { n: number }\nexport type Id = string;\nexport const one: Shape = { n: 1 };\nconsole.log('shapes');")
    put(folder, "uses.ts", 'import { Shape, Id, one } from "./shapes";\nexport const f = (s: Shape = one): Id => `${s.n}`;')
    put(folder, "above.ts", 'import { Shape } from "./shapes";\nimport { f } from "./uses";\nexport const g = (s: Shape) => f(s);')
    cell = kernel.run('(await __import("./above.ts")).g({ n: 4 })')
    assert cell.result == "'4'" and cell.stdout == "shapes\n"


def test_an_edited_file_is_loaded_anew_and_others_keep_their_state(kernel, folder):
    put(folder, "rate.ts", "export const rate = 1;")
    put(folder, "step.ts", 'import { rate } from "./rate.js";\nexport const step = () => rate * 10;')
    put(folder, "state.ts", "export const state = { hits: 0 };")
    code = 'import { step } from "./step.ts"; import { state } from "./state.ts"; state.hits++; [step(), state.hits].join()'
    assert shown(kernel, code) == "'10,1'"
    assert shown(kernel, code) == "'10,2'"
    for rate in range(2, 8):
        put(folder, "rate.ts", f"export const rate = {rate};")
        assert shown(kernel, code) == f"'{rate}0,{rate + 1}'"


def test_an_edit_deep_below_a_package_of_the_user(kernel, folder):
    """As a workspace: a package in node_modules that is a link to a folder beside it."""
    put(folder, "tools/package.json", '{"name": "tools", "type": "module", "exports": "./index.ts"}')
    put(folder, "tools/index.ts", 'export { n } from "./n.ts";')
    put(folder, "tools/n.ts", "export const n: number = 1;")
    (folder / "node_modules").mkdir(exist_ok=True)
    os.symlink(folder / "tools", folder / "node_modules/tools")
    code = 'import { n } from "tools"; [n, (await __import("./tools/index.ts")) === (await __import("tools"))].join()'
    assert shown(kernel, code) == "'1,true'"
    put(folder, "tools/n.ts", "export const n: number = 2;")
    assert shown(kernel, code) == "'2,true'"


def test_edited_commonjs(kernel, folder):
    put(folder, "old.cjs", "exports.n = require('./inner.cjs') * 10;")
    put(folder, "inner.cjs", "module.exports = 1;")
    code = '[(await __import("./old.cjs")).n, require("./old.cjs").n].join()'
    assert shown(kernel, code) == "'10,10'"
    put(folder, "inner.cjs", "module.exports = 2;")
    assert shown(kernel, code) == "'20,20'"


def test_cycles(kernel, folder):
    put(folder, "even.ts", 'import { odd } from "./odd.ts";\nexport const even = (n: number): boolean => n === 0 || odd(n - 1);')
    put(folder, "odd.ts", 'import { even } from "./even.ts";\nexport const odd = (n: number): boolean => n !== 0 && even(n - 1);')
    code = 'import { even } from "./even.ts"; import { odd } from "./odd.ts"; [even(10), odd(10)].join()'
    assert shown(kernel, code) == "'true,false'"
    put(folder, "odd.ts", 'import { even } from "./even.ts";\nexport const odd = (n: number): boolean => n === 99 || (n !== 0 && even(n - 1));')
    assert shown(kernel, 'import { odd } from "./odd.ts"; odd(99)') == "true"
    assert shown(kernel, 'import { even } from "./even.ts"; even(100)') == "true"


def test_dynamic_import_in_a_local_file(kernel, folder):
    put(folder, "lazy.ts", 'export const get = async () => (await import("./lazy-part.ts")).n;')
    put(folder, "lazy-part.ts", "export const n: number = 1;")
    code = 'import { get } from "./lazy.ts"; await get()'
    assert shown(kernel, code) == "1"
    put(folder, "lazy-part.ts", "export const n: number = 2;")
    assert shown(kernel, code) == "2"


def test_what_failed_is_tried_again(kernel, folder):
    put(folder, "good.ts", "export const good = { id: Math.random() };")
    put(folder, "reads.ts", 'import { good } from "./good.ts";\nimport { readFileSync } from "node:fs";\nexport { good };\nexport const text = readFileSync("later.txt", "utf8");')
    assert "later.txt" in failure(kernel, 'import { text } from "./reads.ts"')
    kept = shown(kernel, '(await __import("./good.ts")).good.id')
    put(folder, "later.txt", "here")
    assert shown(kernel, 'import { text } from "./reads.ts"; text') == "'here'"
    assert shown(kernel, '(await __import("./reads.ts")).good.id') == kept
    put(folder, "wants.ts", 'import { x } from "not-yet";\nexport { x };')
    assert "not-yet" in failure(kernel, 'await __import("./wants.ts")')
    package(folder, "not-yet", {"index.js": "exports.x = 1"})
    assert shown(kernel, '(await __import("./wants.ts")).x') == "1"


def test_an_interrupted_module_is_tried_again(kernel, folder):
    import time

    put(folder, "slow.ts", "export const n = 1;\nif (!(globalThis as any).fast) for (;;) {}")

    def press():
        time.sleep(0.5)
        kernel.interrupt()

    assert kernel.run('await __import("./slow.ts")', during=press).error["ename"] == "KeyboardInterrupt"
    assert shown(kernel, '(globalThis as any).fast = true; (await __import("./slow.ts")).n') == "1"


def test_meta(kernel, folder):
    assert shown(kernel, "import.meta.dirname") == f"'{folder}'"
    assert shown(kernel, "process.cwd()") == f"'{folder}'"
    put(folder, "beside.ts", "export {}")
    assert shown(kernel, 'new URL("./beside.ts", import.meta.url).href') == f"'{(folder / 'beside.ts').as_uri()}'"
    assert shown(kernel, 'import.meta.resolve("./beside")') == f"'{(folder / 'beside.ts').as_uri()}'"
    assert shown(kernel, "import.meta.filename.startsWith(import.meta.dirname)") == "true"
    assert shown(kernel, 'process.chdir("/"); (await __import("./beside.ts")) !== undefined') == "true"
    kernel.run(f"process.chdir({json.dumps(str(folder))})")


def test_require(kernel, folder):
    put(folder, "required.ts", "export const n: number = 1;")
    assert shown(kernel, 'const p = require("node:path"); [p.basename("a/b"), require("./required.ts").n].join()') == "'b,1'"
    assert shown(kernel, 'require("./required") === require("./required.ts")') == "true"
    assert shown(kernel, 'require.resolve("./required.ts")') == f"'{folder / 'required.ts'}'"


def test_missing_things_say_what_to_do(kernel, folder):
    put(folder, "model.ts", "export {}")
    put(folder, "parts/layer.ts", 'import { x } from "./nrom";\nexport { x };')
    put(folder, "parts/norm.ts", "export const x = 1;")
    put(folder, "empty/readme.md", "")
    package(folder, "lib", {"index.js": ""}, exports={".": "./index.js", "./core": "./index.js"})
    said = {
        '"./modle.ts"': [f'Cannot find "./modle.ts": there is no {folder}/modle.ts. Did you mean "./model.ts"?'],
        '"./nothing-like-it"': [f'Cannot find "./nothing-like-it": there is no {folder}/nothing-like-it.ts'],
        '"./nowhere/x.ts"': [f"there is no folder {folder}/nowhere"],
        '"./empty"': ["is a folder without an index.ts"],
        '"./parts/layer.ts"': ['Cannot find "./nrom" (imported by parts/layer.ts:1)', 'Did you mean "./norm.ts"?'],
        '"no-such-package"': ['Cannot find the package "no-such-package". Install it with `npm install no-such-package` in ' + str(folder)],
        '"@no/such/deep/path"': ["`npm install @no/such`"],
        '"model"': ['or write "./model.ts" if you mean the file'],
        '"sqlite"': ['write "node:sqlite"'],
        '"node:nothing"': ['has no module "node:nothing"'],
        '"node:pth"': ['Did you mean "node:path"?'],
        '"npm:left-pad@1.3.0"': ['write "left-pad", after `npm install left-pad`'],
        '"https://example.org/x.js"': ["not to https: addresses"],
        '"lib/inner"': ["'./inner' is not defined by \"exports\"", '"lib", "lib/core"'],
    }
    for specifier, wanted in said.items():
        text = failure(kernel, f"1;\nawait __import({specifier})")
        for part in wanted:
            assert part in text, text
        assert ":2:" in text, text
    assert "Did you mean" in failure(kernel, 'require("./modle.ts")')
    assert shown(kernel, 'await __import("no-such-package").catch((e: any) => e.code)') == "'ERR_MODULE_NOT_FOUND'"
    assert shown(kernel, 'let code; try { require("no-such-package") } catch (e: any) { code = e.code }; code') == "'MODULE_NOT_FOUND'"


def test_the_engine_loads_once_with_one_tf(kernels_folder, tmp_path):
    """Packages that are links to folders of TypeScript, imported by cells, by each other and by local files."""
    os.symlink(root / "node_modules", tmp_path / "node_modules")
    put(tmp_path, "mine.ts", 'import { tf } from "@whetstone/engine";\nimport { matMul } from "@tensorflow/tfjs";\nexport { tf, matMul };')
    with Kernel(kernels_folder, tmp_path, WHETSTONE_DEVICE="wasm") as kernel:
        code = f"""import {{ tf }} from "@whetstone/engine";
            import * as mine from "./mine.ts";
            import * as direct from {json.dumps(str(root / "engine/index.ts"))};
            import * as kit from {json.dumps(str(root / "notebooks/kit/index.ts"))};
            [tf === mine.tf, direct.tf === tf, mine.matMul === tf.matMul, typeof kit.claim,
              tf.tensor([[1, 2]]).matMul(tf.tensor([[3], [4]])).dataSync()[0]].join()"""
        cell = kernel.run(code, timeout=60)
        assert cell.reply["status"] == "ok", cell.traceback
        assert cell.result == "'true,true,true,function,11'"
