"""Errors: what the user reads. Lines and columns are those that the user wrote, and the frames are the user's own."""

import os
from pathlib import Path

import pytest
from client import Kernel

root = Path(__file__).parents[2]

MODEL = """// a comment
interface Size { x: number }

export function forward(a: Size): number {
  if (a.x < 0) {
    throw new RangeError("x is negative");
  }
  return a.x;
}
export async function later(a: Size) {
  await null;
  return forward(a);
}
"""
RICH = """enum Kind { A, B }
export class Part {
  constructor(public kind: Kind) {}

  fail(): never {
    throw new Error("kind " + Kind[this.kind]);
  }
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("errors")


@pytest.fixture(scope="module")
def kernel(kernels_folder, folder):
    os.symlink(root / "node_modules", folder / "node_modules")
    (folder / "model.ts").write_text(MODEL)
    (folder / "rich.ts").write_text(RICH)
    with Kernel(kernels_folder, folder, WHETSTONE_DEVICE="wasm") as kernel:
        yield kernel


def told(kernel, code, **options):
    """The traceback, with the number of the cell taken out: `In[#]`."""
    cell = kernel.run(code, **options)
    count = cell.reply["execution_count"]
    assert cell.reply["status"] == "error", cell.result
    assert "error" in cell.types and "execute_result" not in cell.types and cell.stderr == ""
    return cell.traceback.replace(f"In[{count}]", "In[#]")


def test_the_place_of_a_throw(kernel):
    assert told(kernel, "// first\n  throw new Error('boom')") == "\n".join(
        ["Error: boom", "    at In[#]:2:9", "      2 |   throw new Error('boom')", "                  ^"]
    )


def test_the_first_line_has_right_columns(kernel):
    assert "at In[#]:1:7\n" in told(kernel, "throw new Error('x')")
    assert "at In[#]:1:21\n" in told(kernel, "{ x: (() => { throw new Error('x') })() }")


def test_frames_of_several_cells(kernel):
    kernel.run("function deep(n: number): number {\n  if (n === 0) throw new TypeError('deep');\n  return deep(n - 1);\n}")
    number = kernel.run("1").reply["execution_count"] - 1
    assert told(kernel, "deep(2)") == "\n".join(
        [
            "TypeError: deep",
            f"    at deep (In[{number}]:2:22)",
            "      2 |   if (n === 0) throw new TypeError('deep');",
            "                               ^",
            f"    at deep (In[{number}]:3:10)",
            "    ... once more from the same place",
            "    at In[#]:1:1",
        ]
    )


def test_async_frames(kernel):
    text = told(kernel, "async function inner() {\n  await null;\n  throw new Error('late');\n}\nconst outer = async () => {\n  await inner();\n};\nawait outer();")
    assert text.split("\n")[1] == "    at inner (In[#]:3:9)"
    assert "    at outer (In[#]:6:3)\n    at In[#]:8:1" in text


def test_types_do_not_move_lines_or_columns(kernel):
    code = "interface A {\n  x: number;\n}\ntype B = A & {\n  y: string;\n};\nconst f = <T extends A>(a: T, b?: B): number => { throw new Error('here' as string) };\nf({ x: 1 } as A)"
    assert "at f (In[#]:7:57)" in told(kernel, code)


def test_transpiled_cells_keep_their_lines(kernel):
    code = "enum Color { Red, Green }\nclass Paint {\n  constructor(private c: Color) {}\n  dry() {\n    throw new Error('wet ' + Color[this.c]);\n  }\n}\nnew Paint(Color.Green).dry()"
    text = told(kernel, code)
    assert text.startswith("Error: wet Green\n    at Paint.dry (In[#]:5:11)\n      5 |     throw new Error(")
    assert text.endswith("at In[#]:8:24")


def test_a_function_declared_anew_keeps_its_lines(kernel):
    """The compiler then puts a line before the cell."""
    kernel.run("const moved = 1")
    assert "at moved (In[#]:2:9)" in told(kernel, "function moved() {\n  throw new Error('x');\n}\nmoved()")


def test_local_files(kernel):
    text = told(kernel, "import { forward, later } from './model.ts';\nforward({ x: -1 })")
    assert text.split("\n")[:3] == ["RangeError: x is negative", "    at forward (model.ts:6:11)", '      6 |     throw new RangeError("x is negative");']
    assert text.endswith("    at In[#]:2:1")
    assert "at later (model.ts:12:10)" in told(kernel, "await later({ x: -1 })")
    text = told(kernel, "import { Part } from './rich.ts';\nnew Part(1).fail()")
    assert text.startswith('Error: kind B\n    at Part.fail (rich.ts:6:11)\n      6 |     throw new Error("kind " + Kind[this.kind]);')


def test_an_edited_file_quotes_what_ran(kernel, folder):
    (folder / "edited.ts").write_text("export const f = () => {\n  throw new Error('old');\n};\n")
    kernel.run("import { f } from './edited.ts'; const old = f")
    (folder / "edited.ts").write_text("\n\n\nexport const f = () => {\n  throw new Error('new');\n};\n")
    assert "at old (edited.ts:2:9)\n      2 |   throw new Error('old');" in told(kernel, "old()").replace("at f (", "at old (")
    assert "(edited.ts:5:9)\n      5 |   throw new Error('new');" in told(kernel, "import { f as g } from './edited.ts'; g()")


def test_wrong_syntax_in_a_local_file(kernel, folder):
    (folder / "broken.ts").write_text("export const a = 1;\nconst b = = 2;\n")
    (folder / "broken.mjs").write_text("export const a = 1;\nconst b = = 2;\n")
    text = told(kernel, "import './broken.ts'")
    assert text.startswith("broken.ts:2:11 - error TS1109: Expression expected.\n  2 | const b = = 2;\n    |           ^")
    for name in ["broken.ts", "broken.mjs"]:
        assert told(kernel, f"await __import('./{name}')").startswith(
            f"SyntaxError: Expression expected.\n    at {name}:2:11\n      2 | const b = = 2;\n                    ^"
        )


def test_an_export_that_is_not_there(kernel, folder):
    (folder / "links.ts").write_text('import { nope } from "./model.ts";\nexport const z = nope;\n')
    text = told(kernel, "await __import('./links.ts')")
    assert "'./model.ts' does not provide an export named 'nope'\n    at links.ts:1:10\n" in text


def test_packages_and_node_have_no_frames(kernel):
    text = told(kernel, "import { readFileSync } from 'node:fs';\nreadFileSync('missing.txt')")
    assert "node:" not in text and text.count("    at ") == 1
    text = told(kernel, "import ts from 'typescript';\nts.createSourceFile('x.ts', undefined as any, 99)")
    assert "node_modules" not in text and text.split("\n")[1] == "    at In[#]:2:4"


def test_a_missing_file_says_where_it_was_looked_for(kernel, folder):
    (folder / "corpus.txt").write_text("")
    assert told(kernel, "readFileSync('corpsu.txt')").split("\n")[-1] == (
        f'    There is no {folder}/corpsu.txt. Relative paths start at {folder}. Did you mean "corpus.txt"?'
    )
    assert f"There is no folder {folder}/no." in told(kernel, "readFileSync('no/file.txt')")


def test_wrong_shapes(kernel):
    kernel.run("import { tf } from '@whetstone/engine'", timeout=60)
    text = told(kernel, "const a = tf.ones([2, 3]);\nconst b = tf.ones([4, 5]);\ntf.matMul(a, b)")
    first, *rest = text.split("\n")
    assert "matMul" in first and "2,3" in first and "4,5" in first
    assert rest == ["    at In[#]:3:4", "      3 | tf.matMul(a, b)", "             ^"]


def test_values_that_are_no_errors(kernel):
    for code, value in {"throw 'str'": "'str'", "throw { a: 1 }": "{ a: 1 }", "throw null": "null", "throw undefined": "undefined", "throw 3n": "3n"}.items():
        assert told(kernel, code).split("\n")[0] == f"Uncaught {value}"
    cell = kernel.run("await Promise.reject('text')")
    assert cell.error["ename"] == "Uncaught" and cell.error["evalue"] == "text"


def test_causes_and_aggregates(kernel):
    text = told(kernel, "try {\n  JSON.parse('{')\n} catch (cause) {\n  throw new Error('cannot load', { cause })\n}")
    assert text.startswith("Error: cannot load\n    at In[#]:4:9\n") and "\nCaused by: SyntaxError: " in text and "at In[#]:2:8\n" in text
    text = told(kernel, "throw new AggregateError([new Error('one'), 'two'], 'all failed')")
    assert "AggregateError: all failed\n" in text and "\n[1 of 2] Error: one\n" in text and text.endswith("\n[2 of 2] 'two'")
    text = told(kernel, "const loop: any = new Error('itself'); loop.cause = loop; throw loop")
    assert text.count("itself") == 2  # its title and the excerpt


def test_names_and_properties(kernel):
    cell = kernel.run("class LossIsNaN extends Error {}\nthrow Object.assign(new LossIsNaN('at step 3'), { step: 3, shape: [2, 4] })")
    assert cell.error["ename"] == "LossIsNaN" and cell.error["evalue"] == "at step 3"
    assert cell.traceback.endswith("    { step: 3, shape: [ 2, 4 ] }")


def test_endless_recursion_is_told_once(kernel):
    text = told(kernel, "function again(): number { return again() + 1 }\nagain()")
    assert text.startswith("RangeError: Maximum call stack size exceeded") and "times more from the same place" in text
    assert len(text.split("\n")) < 8


def test_errors_that_defend_themselves(kernel):
    assert told(kernel, "throw new Proxy(new Error('x'), { get() { throw 1 } })") != ""
    assert told(kernel, "throw Object.defineProperty(new Error('w'), 'stack', { get() { throw 2 } })").startswith("Error: w")
    assert told(kernel, "throw Object.assign(new Error('m'), { message: { toString() { throw 3 } } })") != ""
    assert told(kernel, "throw Object.create(null)").startswith("Uncaught [Object: null prototype] {}")
    assert kernel.run("1").result == "1"


def test_an_error_as_a_value(kernel):
    cell = kernel.run("const shown = new Error('shown', { cause: new Error('root') }); shown")
    assert cell.reply["status"] == "ok"
    count = cell.reply["execution_count"]
    assert cell.result.startswith(f"Error: shown\n    at In[{count}]:1:15\n") and "Caused by: Error: root" in cell.result


def test_type_errors_stop_the_cell(kernel):
    cell = kernel.run("console.log('ran');\nlet width: number = 'wide';\nwidth.foo")
    assert cell.stdout == "" and cell.error["ename"] == "TS2322"
    assert cell.error["evalue"] == "Type 'string' is not assignable to type 'number'."
    count = cell.reply["execution_count"]
    assert cell.error["traceback"] == [
        f"In[{count}]:2:5 - error TS2322: Type 'string' is not assignable to type 'number'.\n  2 | let width: number = 'wide';\n    |     ^^^^^",
        f"In[{count}]:3:7 - error TS2339: Property 'foo' does not exist on type 'number'.\n  3 | width.foo\n    |       ^^^",
    ]


def test_the_type_check_names_the_next_step_for_what_is_missing(kernel, folder):
    text = told(kernel, "import { forward } from './modle.ts'")
    assert text.startswith("In[#]:1:25 - error TS2307") and text.endswith(f'there is no {folder}/modle.ts. Did you mean "./model.ts"?')
    text = told(kernel, "import 'no-such-package'")
    assert text.endswith(f"Install it with `npm install no-such-package` in {folder}")


def test_an_error_in_a_timer_goes_to_its_own_cell(kernel):
    begun = kernel.run("const boom = () => {\n  throw new RangeError('too late');\n};\nsetTimeout(boom, 300); 0")
    kernel.run("1")
    [error] = kernel.late(10, ("error",), [begun.id], 1)
    assert error["parent_header"]["msg_id"] == begun.id
    count = begun.reply["execution_count"]
    assert "\n".join(error["content"]["traceback"]).startswith(f"RangeError: too late\n    at boom (In[{count}]:2:9)")


def test_listeners_that_throw_do_not_end_the_process(kernel):
    """Programs made by Emscripten add some, and with them every late error would end the process."""
    kernel.run("process.on('uncaughtException', (e) => { throw e }); process.on('unhandledRejection', (e) => { throw e }); let kept = 1")
    cell = kernel.run("setTimeout(() => { throw new Error('one') }, 1); void Promise.reject(new Error('two')); await new Promise((r) => setTimeout(r, 100))")
    assert [e["evalue"] for e in cell.all("error")] == ["two", "one"] and cell.reply["status"] == "ok"
    assert kernel.run("kept").result == "1"
    begun = kernel.run("setTimeout(() => { throw new Error('three') }, 100); 0")
    errors = kernel.late(10, ("error",), [begun.id], 1) + kernel.late(0.3, ("error",))
    assert [e["content"]["evalue"] for e in errors] == ["three"]
