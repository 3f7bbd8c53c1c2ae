"""What an editor asks: completions, documentation, whether a cell is whole; and the pager of `name?`."""

import time

import pytest
from client import Kernel


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language")
    (folder / "lib").mkdir()
    (folder / "lib/shapes.ts").write_text(
        """/** A square.
 * @param side its length
 */
export function square(side: number): { area: number } {
  return { area: side ** 2 };
}
export const squeeze = 1;
"""
    )
    (folder / "rates.json").write_text('{"warmup": 10, "decay": 0.1}')
    return folder


@pytest.fixture(scope="module")
def kernel(kernels_folder, folder):
    with Kernel(kernels_folder, folder) as kernel:
        kernel.run(
            """/** How fast it learns. */
let learningRate = 0.1;
/** Adds.
 * @returns the sum */
function addAll(a: number, b = 2): number {
  return a + b;
}
class Layer { units = 4; forward(x: number[]): number[] { return x } }
const layer = new Layer();
const settings = { epochs: 3, "with space": 1 };
interface LayerOptions { bias: boolean }"""
        )
        yield kernel


def complete(kernel, marked):
    """Completes at the `|`. Returns the matches and what the first would make of the code."""
    at = marked.index("|")
    code = marked[:at] + marked[at + 1 :]
    reply = kernel.request("complete_request", code=code, cursor_pos=at)
    assert reply["status"] == "ok"
    types = reply["metadata"]["_jupyter_types_experimental"]
    assert [each["text"] for each in types] == reply["matches"]
    assert all(each["start"] == reply["cursor_start"] and each["end"] == reply["cursor_end"] for each in types)
    matches = reply["matches"]
    if not matches:
        return [], code, types
    return matches, code[: reply["cursor_start"]] + matches[0] + code[reply["cursor_end"] :], types


@pytest.mark.parametrize(
    "marked, first",
    [
        ("learn|", "learningRate"),
        ("1 + learn| + 2", "1 + learningRate + 2"),
        ("layer.for|", "layer.forward"),
        ("layer.|", "layer.forward"),
        ("let fresh = 1; fre|", "let fresh = 1; fresh"),
        ("settings.ep|", "settings.epochs"),
        ("let o: LayerO|", "let o: LayerOptions"),
        ("let o: LayerOptions = { bi|", "let o: LayerOptions = { bias"),
        ("learningRate.toF|", "learningRate.toFixed"),
        ('"a".toUpper|', '"a".toUpperCase'),
        ("console.lo|", "console.log"),
        ("for (const x of [1]) { x.toPre|", "for (const x of [1]) { x.toPrecision"),
        ("displ|", "display"),
        ("awai|", "await"),
        ("const émoji = '😀'; émoj|", "const émoji = '😀'; émoji"),
        ("'😀😀'; learn|", "'😀😀'; learningRate"),
        ("{ a: learn| }", "{ a: learningRate }"),
    ],
)
def test_names_and_members(kernel, marked, first):
    assert complete(kernel, marked)[1] == first


@pytest.mark.parametrize(
    "marked, first",
    [
        ('import { readFileSync } from "node:f|"', 'import { readFileSync } from "node:fs"'),
        ('import { square } from "./li|"', 'import { square } from "./lib"'),
        ('import { square } from "./lib/sh|"', 'import { square } from "./lib/shapes"'),
        ('import { squa| } from "./lib/shapes"', 'import { square } from "./lib/shapes"'),
        ('import * as s from "./lib/shapes"\ns.sque|', 'import * as s from "./lib/shapes"\ns.squeeze'),
        ('import rates from "./rates.json"\nrates.war|', 'import rates from "./rates.json"\nrates.warmup'),
    ],
)
def test_paths_and_what_modules_export(kernel, marked, first):
    assert complete(kernel, marked)[1] == first


def test_only_what_goes_on_as_typed_is_offered(kernel):
    for marked in ("l|", "La|", "addA|", "layer.f|", "xyzzy|"):
        typed = marked.rstrip("|").split(".")[-1]
        assert all(match.startswith(typed) for match in complete(kernel, marked)[0])
    assert complete(kernel, "xyzzy|")[0] == []


def test_types_and_signatures(kernel):
    [add] = complete(kernel, "addA|")[2]
    assert (add["type"], add["signature"]) == ("function", "(a: number, b?: number): number")
    by_name = {each["text"]: each for each in complete(kernel, "layer.|")[2]}
    assert by_name["units"]["signature"] == "number" and by_name["units"]["type"] == "property"
    assert by_name["forward"]["type"] == "method"


def test_a_completion_declares_nothing(kernel):
    complete(kernel, "let ghost = 1; gho|")
    kernel.request("inspect_request", code="let ghost = 1; ghost", cursor_pos=18, detail_level=0)
    assert kernel.run("ghost").error["ename"] == "TS2304"


def inspect(kernel, marked, detail=0):
    at = marked.index("|")
    code = marked[:at] + marked[at + 1 :]
    reply = kernel.request("inspect_request", code=code, cursor_pos=at, detail_level=detail)
    assert reply["status"] == "ok" and reply["found"] == bool(reply["data"])
    return reply["data"]


@pytest.mark.parametrize("marked", ["add|All(1)", "addAll|(1)", "|addAll(1)", "addAll(|1)", "addAll(1, |)"])
def test_documentation_of_a_function(kernel, marked):
    data = inspect(kernel, marked)
    assert data["text/plain"] == "function addAll(a: number, b?: number): number\n\nAdds.\n\n@returns the sum"
    assert data["text/markdown"].startswith("```ts\nfunction addAll(a: number, b?: number): number\n```\n\nAdds.")


def test_more_detail_is_the_source(kernel):
    text = inspect(kernel, "addAll|", detail=1)["text/plain"]
    assert "In[1]:5" in text and "  return a + b;\n}" in text
    text = inspect(kernel, 'import { square } from "./lib/shapes"\nsqu|are', detail=1)["text/plain"]
    assert "lib/shapes.ts:4" in text and "return { area: side ** 2 };" in text and "@param side" in text
    assert "/** How fast" not in inspect(kernel, "learningRate|", detail=1)["text/plain"].split("In[1]:2")[1]


def test_the_value_of_a_variable(own_kernel):
    kernel = own_kernel
    kernel.run("let rates = [0.1, 0.2]; const add = (a: number) => a; let tick = '`'; const bad = { get x(): number { throw 1 } }")
    data = inspect(kernel, "ra|tes")
    assert data["text/plain"] == "let rates: number[]\n\nValue: [ 0.1, 0.2 ]"
    assert data["text/markdown"].endswith("\n\n**Value:** `[ 0.1, 0.2 ]`")
    assert "Value: [ 0.1, 0.2 ]" in kernel.request("execute_request", code="rates?")["payload"][0]["data"]["text/plain"]
    assert inspect(kernel, "tick|")["text/markdown"].endswith("**Value:** `` '`' ``")
    # No value: a function's signature says more, a local name is another one, a name not yet declared has none.
    for marked in ["add|", "(rates: string) => ra|tes", "const fresh = 1; fre|sh", "JS|ON", "rates.len|gth"]:
        assert "Value" not in inspect(kernel, marked)["text/plain"], marked
    assert "Value: { x: [Getter] }" in inspect(kernel, "bad|")["text/plain"]
    # A cell that computes does not keep an editor waiting.
    kernel.client.execute("const until = Date.now() + 2000; while (Date.now() < until);")
    started = time.monotonic()
    assert inspect(kernel, "ra|tes")["text/plain"].startswith("let rates: number[]")
    assert time.monotonic() - started < 1.9


def test_documentation_of_other_things(kernel):
    assert "How fast it learns." in inspect(kernel, "learning|Rate + 1")["text/plain"]
    assert inspect(kernel, "layer.for|ward")["text/plain"].startswith("(method) Layer.forward(x: number[]): number[]")
    assert "JSON.parse" in inspect(kernel, "JSON.par|se")["text/plain"]
    assert inspect(kernel, "noth|ing") == {}
    assert inspect(kernel, "1 +| 2") == {}
    assert inspect(kernel, "|") == {}


@pytest.mark.parametrize(
    "code, status",
    [
        ("1 + 1", "complete"),
        ("", "complete"),
        ("let x = 1; // done", "complete"),
        ("await fetch('x')", "complete"),
        ("for await (const x of y) {}", "complete"),
        ("{a: 1}", "complete"),
        ("learningRate?", "complete"),
        ("%%js\nx", "complete"),
        ("import { a } from 'b'", "complete"),
        ("function f() {", "incomplete"),
        ("f(1,", "incomplete"),
        ("[1, 2", "incomplete"),
        ("1 +", "incomplete"),
        ("if (x)", "incomplete"),
        ("const s = `open\n", "incomplete"),
        ("/* open", "incomplete"),
        ("class A {\n  b = 1;", "incomplete"),
        ("x.", "incomplete"),
        ("let = 7q", "invalid"),
        ("1 + )", "invalid"),
        ("let s = 'open\n", "invalid"),
        ("function () {}", "invalid"),
        ("}", "invalid"),
    ],
)
def test_is_complete(kernel, code, status):
    reply = kernel.request("is_complete_request", code=code)
    assert reply["status"] == status, reply
    assert ("indent" in reply) == (status == "incomplete")


def test_indent_of_the_next_line(kernel):
    assert kernel.request("is_complete_request", code="function f() {")["indent"] == "  "
    assert kernel.request("is_complete_request", code="class A {\n  b() {\n    1;")["indent"] == "    "
    assert kernel.request("is_complete_request", code="if (x)")["indent"] == ""


def pages(cell):
    assert cell.reply["status"] == "ok" and cell.result is None
    return [page["data"]["text/plain"] for page in cell.reply["payload"]]


def test_the_pager(kernel):
    [text] = pages(kernel.run("addAll?"))
    assert text.startswith("function addAll(a: number, b?: number): number") and "return a + b" not in text
    [text] = pages(kernel.run("addAll??"))
    assert "return a + b" in text
    [text] = pages(kernel.run("layer.forward?"))
    assert text.startswith("(method) Layer.forward")
    [text] = pages(kernel.run("notAnything?"))
    assert text == "notAnything: nothing is known by this name"


def test_an_editor_is_answered_while_a_cell_runs(kernel):
    running = kernel.client.execute("await new Promise((resolve) => setTimeout(resolve, 3000)); 'done'")
    time.sleep(0.3)
    begin = time.monotonic()
    assert complete(kernel, "learn|")[0] == ["learningRate"]
    assert inspect(kernel, "addAll|") != {}
    assert kernel.request("is_complete_request", code="1 +")["status"] == "incomplete"
    assert time.monotonic() - begin < 2
    assert kernel.collect(running).result == "'done'"


def test_completions_see_what_a_cell_of_the_same_moment_declares(kernel):
    # Sent together: the completion comes after the cell in the order of requests, but the cell still runs.
    sent = kernel.client.execute("let momentary = 1; await new Promise((resolve) => setTimeout(resolve, 500))")
    assert complete(kernel, "moment|")[0] == ["momentary"]
    assert kernel.collect(sent).reply["status"] == "ok"
