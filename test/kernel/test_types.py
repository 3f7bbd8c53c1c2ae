"""Type errors stop a cell before it runs and say where they are; what only finished code needs is a warning."""

import json
import os
import signal
import time

import pytest
from client import Kernel


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("types")


@pytest.fixture(scope="module")
def kernel(kernels_folder, folder):
    with Kernel(kernels_folder, folder) as kernel:
        yield kernel


def test_a_type_error_names_code_line_and_column_and_nothing_runs(kernel):
    cell = kernel.run('console.log("ran");\n\tconst rate: number = "fast";\nlet here = 1;')
    count = cell.reply["execution_count"]
    assert cell.error == {
        "ename": "TS2322",
        "evalue": "Type 'string' is not assignable to type 'number'.",
        "traceback": [
            f"In[{count}]:2:8 - error TS2322: Type 'string' is not assignable to type 'number'.\n"
            '  2 | \tconst rate: number = "fast";\n'
            "    | \t      ^^^^"
        ],
    }
    assert cell.stdout == "" and cell.result is None
    assert kernel.run("here").error["ename"] == "TS2304"


def test_all_errors_are_listed_in_the_order_of_the_code(kernel):
    cell = kernel.run("let a: string = 1;\nnothing;\nlet b: number = 'x';")
    assert [line.split(" - error ")[1].split(":")[0] for line in cell.error["traceback"]] == ["TS2322", "TS2304", "TS2322"]
    assert cell.error["ename"] == "TS2322"


def test_the_caret_stands_right_in_an_object_that_is_an_expression(kernel):
    assert ":1:6 " in kernel.run("{ a: missing }").traceback
    cell = kernel.run("{ a: missing }")
    assert cell.traceback.endswith("1 | { a: missing }\n    |      ^^^^^^^")


def test_a_syntax_error_is_placed_too(kernel):
    cell = kernel.run("let ok = 1;\nlet = 7q")
    assert cell.error["ename"].startswith("TS1") and ":2:" in cell.traceback
    assert kernel.run("ok").error["ename"] == "TS2304"


def test_a_redeclaration_within_a_cell_is_refused_between_cells_it_is_not(kernel):
    assert kernel.run("let twice = 1; let twice = 2").error["ename"] == "TS2451"
    kernel.run("let twice = 1")
    assert kernel.run("let twice = 'text'; twice.length").result == "4"
    assert kernel.run("twice = 1").error["ename"] == "TS2322"


def test_functions_keep_the_types_they_were_checked_with(kernel):
    kernel.run("let unit = 1; function grow() { return unit + 1 }")
    kernel.run("let unit = 'one'")
    assert kernel.run("grow().toFixed").reply["status"] == "ok"


def test_types_live_on_when_a_later_cell_imports_something_new(kernel):
    kernel.run("interface Spec { size: number }\nlet spec: Spec = { size: 1 };\nclass Old { a = 1 }\nconst old = new Old()")
    kernel.run("interface Spec { name: string }\nclass Old { b = 2 }")
    # A new import makes a new program and a new checker.
    assert kernel.run('import { createHash } from "node:crypto"\nspec.size + old.a').result == "2"
    assert kernel.run("spec.name").error["ename"] == "TS2339"
    assert kernel.run('let again: Spec = { name: "n" }; again.name').result == "'n'"


def test_a_variable_may_get_its_value_in_a_later_cell(kernel):
    assert kernel.run("let model: { size: number }\nconst sizeOf = () => model.size").reply["status"] == "ok"
    assert kernel.run("model = { size: 3 }").reply["status"] == "ok"
    assert kernel.run("sizeOf() + model.size").result == "6"
    assert kernel.run("let unset: number; unset + 1").error["ename"] == "TS2454"


def test_null_checks_are_on(kernel):
    assert kernel.run("let text: string = null").error["ename"] == "TS2322"
    assert kernel.run("[1].find((x) => x > 1).toFixed()").error["ename"] == "TS2532"


@pytest.mark.parametrize(
    "code, warning",
    [
        ("function twice(x) { return x * 2 }\ntwice(2)", "TS7006"),
        ("class Late { field: number }\nnew Late().field ?? 4", "TS2564"),
        ("const table = { a: 4 }; const key: string = 'a'; table[key]", "TS7053"),
    ],
)
def test_what_finished_code_needs_is_a_warning(kernel, code, warning):
    cell = kernel.run(code)
    assert cell.reply["status"] == "ok" and cell.result == "4"
    assert f"warning {warning}:" in cell.stderr and "^" in cell.stderr


def test_a_package_without_types_is_a_warning(kernel, folder):
    home = folder / "node_modules/untyped"
    home.mkdir(parents=True)
    (home / "package.json").write_text('{"name": "untyped", "main": "index.js"}')
    (home / "index.js").write_text("exports.nine = 9;")
    cell = kernel.run('import { nine } from "untyped"\nnine')
    assert cell.result == "9" and "warning TS7016" in cell.stderr


def test_a_missing_module_is_an_error_until_it_is_there(kernel, folder):
    assert kernel.run('import { x } from "./not-yet"').error["ename"] == "TS2307"
    assert kernel.run('import { x } from "no-such-package"').error["ename"] == "TS2307"
    (folder / "not-yet.ts").write_text("export const x = 5;")
    assert kernel.run('import { x } from "./not-yet"\nx').result == "5"


def test_unchecked_javascript(kernel):
    assert kernel.run("%%js\nlet wild = 'a'\nwild = 3\nwild.nothing\nwild + 1").result == "4"
    assert kernel.run("wild.whatever").result is None
    cell = kernel.run("%%js\nlet fine = 1\nmissing.x")
    assert cell.error["ename"] == "ReferenceError" and ":3:1" in cell.traceback


def test_an_error_in_a_local_file_names_it(kernel, folder):
    recipe = folder / "recipes"
    recipe.mkdir()
    (recipe / "inner.ts").write_text("export const width: number =\n  'wide';\n")
    (recipe / "outer.ts").write_text('import { width } from "./inner.ts";\nexport const double = width * 2;\n')
    cell = kernel.run('console.log("ran");\nimport { double } from "./recipes/outer.ts"')
    assert cell.error["ename"] == "TS2322" and cell.stdout == ""
    assert cell.error["traceback"][0].startswith("recipes/inner.ts:1:14 - error TS2322: ")
    assert "1 | export const width: number =" in cell.traceback
    (recipe / "inner.ts").write_text("export const width: number = 4;\n")
    assert kernel.run('import { double } from "./recipes/outer.ts"\ndouble').result == "8"


def test_an_edit_that_breaks_a_local_file_stops_the_next_cell(kernel, folder):
    file = folder / "edited.ts"
    file.write_text("export interface Shape { a: number }\nexport const make = (): Shape => ({ a: 1 });\n")
    assert kernel.run('import { make, type Shape } from "./edited"\nmake().a').result == "1"
    file.write_text("export interface Shape { a: string }\nexport const make = (): Shape => ({ a: 1 });\n")
    cell = kernel.run("make().a")
    assert cell.error["ename"] == "TS2322" and cell.traceback.startswith("edited.ts:2:")
    file.write_text("export interface Shape { a: string }\nexport const make = (): Shape => ({ a: 'one' });\n")
    assert kernel.run("const shape: Shape = make(); shape.a.length").result == "3"
    assert kernel.run("const other: Shape = { a: 1 }").error["ename"] == "TS2322"


def test_a_tsconfig_beside_the_notebook_decides(kernels_folder, tmp_path):
    config = tmp_path / "tsconfig.json"
    config.write_text(json.dumps({"compilerOptions": {"strict": True, "noUnusedParameters": True}}))
    with Kernel(kernels_folder, tmp_path) as kernel:
        cell = kernel.run("function f(x) { return 1 }")
        assert "error TS7006" in cell.traceback and "error TS6133" in cell.traceback
        config.write_text(json.dumps({"compilerOptions": {"strict": False}}))
        assert kernel.run("let text: string = null; text").result == "null"
        config.write_text('{ "compilerOptions": { "strict": treu } }')
        cell = kernel.run("1")
        assert cell.traceback.startswith("tsconfig.json:1:34 - error TS1328: ") and "^^^^" in cell.traceback
        config.unlink()
        assert kernel.run("let again: string = null").error["ename"] == "TS2322"


def compiler_process(kernel):
    """The process id of the kernel's compiler: the child that runs neither the worker nor its thread."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as stat:
                parent = int(stat.read().rsplit(")", 1)[1].split()[1])
            with open(f"/proc/{entry}/cmdline") as line:
                words = line.read()
        except OSError:
            continue
        if parent == kernel.pid and ("check.blob" in words or "compile.cjs" in words):
            return int(entry)
    raise AssertionError("the kernel has no compiler process")


def test_the_compiler_that_dies_is_started_again_and_knows_the_earlier_cells(own_kernel):
    own_kernel.run("let before: number = 1")
    for _ in range(2):
        os.kill(compiler_process(own_kernel), signal.SIGKILL)
        time.sleep(0.1)
        assert own_kernel.run("before = 'text'").error["ename"] == "TS2322"
        assert own_kernel.run("before").result == "1"


ENDLESS = """type Grow<N extends number, A extends 0[] = []> = A["length"] extends N ? A : Grow<N, [...A, 0]>;
type Many<N extends number> = { [K in Grow<N>["length"] & number]: Grow<900> };
"""


def test_a_check_that_takes_long_is_interrupted(own_kernel):
    own_kernel.run("let kept = 1")
    # Each of these types takes a moment; together they take most of a minute.
    lines = [f"let v{i}: Grow<{500 + i}> = 0 as unknown as Grow<{499 - i % 7}>;" for i in range(400)]
    begin = time.monotonic()
    cell = own_kernel.run(ENDLESS + "\n".join(lines), during=lambda: (time.sleep(0.5), own_kernel.interrupt()), timeout=30)
    assert cell.error["ename"] == "KeyboardInterrupt"
    assert time.monotonic() - begin < 10
    assert own_kernel.run("kept").result == "1"
