"""Output: complete, in order, in the cell that it comes from."""

import time


def test_100_000_lines_are_complete_in_order_and_few_messages(kernel):
    cell = kernel.run('for (let i = 0; i < 100_000; i++) console.log("line " + i)', timeout=60)
    assert cell.stdout == "".join(f"line {i}\n" for i in range(100_000))
    assert len(cell.messages) < 200
    assert cell.types[-1] == "idle"


def test_text_of_child_processes_keeps_its_place(kernel):
    kernel.run('import { execSync, spawn } from "node:child_process"')
    code = """console.log("1"); execSync("echo 2", { stdio: "inherit" }); console.log("3");
        execSync("echo 4", { stdio: "inherit" }); display(5); execSync("echo 6", { stdio: "inherit" }); 7"""
    for _ in range(5):
        cell = kernel.run(code)
        parts = [
            m["content"].get("text") or m["content"]["data"]["text/plain"]
            for m in cell.messages
            if m["msg_type"] in ("stream", "display_data", "execute_result")
        ]
        assert "".join(parts).replace("\n", "") == "1234567"


def test_stderr_of_child_processes_and_raw_writes(kernel):
    cell = kernel.run(
        """import { writeSync } from "node:fs";
        import { execSync } from "node:child_process";
        execSync("echo out; echo err >&2", { stdio: "inherit" }); writeSync(1, "raw\\n")"""
    )
    assert cell.stdout == "out\nraw\n" and cell.stderr == "err\n"


def test_a_child_that_writes_much_blocks_and_loses_nothing(kernel):
    code = """import { execSync } from "node:child_process";
        execSync("seq 1 200000", { stdio: "inherit" }); 0"""
    assert kernel.run(code, timeout=60).stdout == "".join(f"{i}\n" for i in range(1, 200_001))


def test_stdout_and_stderr_keep_their_order(kernel):
    cell = kernel.run('console.log("a"); console.error("b"); console.log("c"); console.error("d")')
    parts = [(c["name"], c["text"]) for c in cell.all("stream")]
    assert parts == [("stdout", "a\n"), ("stderr", "b\n"), ("stdout", "c\n"), ("stderr", "d\n")]


def test_characters_are_not_cut(kernel):
    cell = kernel.run('const wide = "aé漢😀".repeat(5000); process.stdout.write(wide); process.stdout.write(Buffer.from(wide)); 0')
    assert cell.stdout == "aé漢😀" * 10_000


def test_console_methods(kernel):
    cell = kernel.run('console.group("g"); console.info("i"); console.groupEnd(); console.warn("w"); console.table([[1]])')
    assert cell.stdout.startswith("g\n  i\n┌") and cell.stderr == "w\n"


def test_late_output_goes_to_its_own_cell(kernel):
    ids = {
        kernel.run(code).id: name
        for name, code in {
            "timer": 'setTimeout(() => console.log("timer"), 250); 0',
            "promise": 'void new Promise((r) => setTimeout(r, 250)).then(() => process.stdout.write("promise\\n")); 0',
            "after await": 'await 1; setTimeout(() => console.log("after await"), 250); 0',
            "callback": 'import { readFile } from "node:fs"; readFile("/dev/null", () => setTimeout(() => console.log("callback"), 200)); 0',
            "display": 'setTimeout(() => display("display"), 250); 0',
        }.items()
    }
    kernel.run("1")
    found = {}
    for message in kernel.late(10, ("stream", "display_data"), ids, len(ids)):
        content = message["content"]
        said = content["text"] if "text" in content else content["data"]["text/plain"]
        name = ids[message["parent_header"]["msg_id"]]
        found[name] = found.get(name, "") + said
    assert found == {name: f"'{name}'" if name == "display" else f"{name}\n" for name in ids.values()}


def test_late_errors_go_to_their_own_cell(kernel):
    thrown = kernel.run('setTimeout(() => { throw new RangeError("too late") }, 150); 0')
    rejected = kernel.run('void (async () => { await new Promise((r) => setTimeout(r, 150)); throw new Error("rejected") })(); 0')
    kernel.run("1")
    errors = {m["parent_header"]["msg_id"]: m["content"] for m in kernel.late(10, ("error",), (thrown.id, rejected.id), 2)}
    assert errors[thrown.id]["ename"] == "RangeError" and errors[rejected.id]["evalue"] == "rejected"
    assert kernel.run("1 + 1").result == "2"


def test_display_update_and_clear(kernel):
    cell = kernel.run('const h = display("first", { id: "the-id" }); h.update("second"); clearOutput(true); 0')
    [shown], updates = cell.all("display_data"), cell.all("update_display_data")
    assert shown["transient"] == {"display_id": "the-id"} and h_text(shown) == "'first'"
    assert updates[-1]["transient"] == {"display_id": "the-id"} and h_text(updates[-1]) == "'second'"
    assert cell.all("clear_output") == [{"wait": True}]


def test_updates_are_limited_and_the_last_one_is_shown(kernel):
    cell = kernel.run(
        """const many = display(0);
        const end = Date.now() + 350;
        let i = 0;
        while (Date.now() < end) many.update(++i);
        console.log(i)"""
    )
    updates = cell.all("update_display_data")
    assert 1 <= len(updates) <= 6
    assert h_text(updates[-1]) == cell.stdout.strip()


def test_display_of_bundles_and_of_values_that_show_themselves(kernel):
    cell = kernel.run(
        """display({ "text/html": "<b>x</b>", "text/plain": "x" }, { raw: true, metadata: { "text/html": { isolated: true } } });
        display({ async [Symbol.for("Jupyter.display")]() { return { "text/plain": "later" } } });
        ({ [Symbol.for("Jupyter.display")]: () => ({ "text/markdown": "**m**", "text/plain": "m" }) })"""
    )
    raw, later = cell.all("display_data")
    assert raw["data"] == {"text/html": "<b>x</b>", "text/plain": "x"} and raw["metadata"]["text/html"]["isolated"]
    assert h_text(later) == "later"
    assert cell.all("execute_result")[0]["data"] == {"text/markdown": "**m**", "text/plain": "m"}


def test_progress_counts_items_and_steps(kernel):
    cell = kernel.run(
        """for (const x of progress(["a", "b", "c"], "letters")) console.log(x);
        const bar = progress(10);
        bar.step(4);
        bar.update(10, "done")"""
    )
    assert cell.stdout == "a\nb\nc\n"
    last = {c["transient"]["display_id"]: h_text(c) for c in cell.all("display_data") + cell.all("update_display_data")}
    letters, steps = last.values()
    assert "letters" in letters and "3/3" in letters
    assert "10/10" in steps and "done" in steps


def test_values(kernel):
    shown = {
        "1 + 1": "2",
        "-0": "-0",
        "10n": "10n",
        "NaN": "NaN",
        "null": "null",
        "undefined": None,
        "void 0": None,
        '"text"': "'text'",
        "Symbol.for('s')": "Symbol(s)",
        "(() => 1)": "[Function (anonymous)]",
        "[1, [2]]": "[ 1, [ 2 ] ]",
        "({ a: 1 })": "{ a: 1 }",
        "new Map([[1, 2]])": "Map(1) { 1 => 2 }",
    }
    assert {code: kernel.run(code).result for code in shown} == shown


def test_nothing_of_a_silent_run_is_shown(kernel):
    cell = kernel.run('console.log("x"); display(1); 2', silent=True)
    assert cell.types == ["busy", "idle"]


def h_text(content):
    return content["data"]["text/plain"]


def test_output_arrives_while_the_cell_runs(kernel):
    sent = kernel.client.execute('console.log("soon"); await new Promise((r) => setTimeout(r, 1500)); console.log("end")')
    begin = time.monotonic()
    while (message := kernel.client.get_iopub_msg(timeout=5))["msg_type"] != "stream":
        pass
    assert message["content"]["text"] == "soon\n" and time.monotonic() - begin < 1.4
    assert kernel.collect(sent).stdout == "end\n"
