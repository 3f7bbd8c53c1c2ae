"""Lines that are no TypeScript: what they do, and that they never take what is TypeScript."""

import json
import os
import re

import pytest
from client import Kernel

TIME = re.compile(r"CPU times: user [\d.]+ [mµn]?s, sys: [\d.]+ [mµn]?s, total: [\d.]+ [mµn]?s\nWall time: [\d.]+ (?:min [\d.]+ )?[mµn]?s\n")

# What a cell with such lines means without them: valid TypeScript, whose value or error is that of TypeScript.
TYPESCRIPT = {
    "let x = true\n!x": "false",
    "const cat = 0;\n!cat || 5": "true",
    "const who = ''\n!who": "true",
    "let a = 7, time = 4\na\n%time": "3",
    "a\n  %time\n": "3",
    "`\n%time\n!ls`": "'\\n%time\\n!ls'",
    "/*\n%cd nowhere\n!false\n*/ 5": "5",
    "(\n!true\n)": "false",
    "[1,\n!0\n]": "[ 1, true ]",
    "a!\n": "7",
    "!(() => false)()": "true",
    "!!a": "true",
    "const reset = 3; 8\n%reset": "2",
}


@pytest.mark.parametrize("code", TYPESCRIPT)
def test_typescript_is_not_taken(kernel, code):
    kernel.run("let a = 7, time = 4, x = true")
    cell = kernel.run(code)
    assert cell.result == TYPESCRIPT[code], cell.messages
    assert cell.stdout == ""


def test_misspelled_names_are_no_commands(kernel):
    assert kernel.run("!isReday").error["ename"].startswith("TS")
    assert kernel.run("if (true) {\n!ls\n}").error["ename"] == "TS2304"
    assert kernel.run("const wrong: number = ''\n!true").error["ename"] == "TS2322"


def test_commands(kernel, tmp_path):
    assert kernel.run("!echo hello").stdout == "hello\n"
    assert kernel.run("!echo $((1 + 2)) 'a  b' | tr a-z A-Z").stdout == "3 A  B\n"
    cell = kernel.run(f"const before = 1;\n!ls -d {tmp_path}\nconsole.log(before)\n  !echo err >&2\nbefore + 1")
    assert cell.stdout == f"{tmp_path}\n1\n" and cell.stderr == "err\n" and cell.result == "2"
    assert kernel.run("!ls -a /").stdout.startswith(".\n")
    assert kernel.run("!date +%Y").stdout.startswith("20")
    cell = kernel.run("!echo before; exit 3\nconsole.log('not reached')")
    assert cell.stdout == "before\n" and cell.error["ename"] == "CommandError" and "exit code 3" in cell.error["evalue"]
    assert "In[" in cell.traceback
    assert kernel.run("before").result == "1"


def test_a_command_that_ends_by_the_signal_before_its_cell_hears_the_interrupt(kernel):
    import time

    def stop():
        time.sleep(0.4)
        kernel.interrupt()

    assert kernel.run("!kill -INT $$", during=stop).error["ename"] == "KeyboardInterrupt"
    # Without an interrupt it is a command that failed.
    cell = kernel.run("!kill -INT $$")
    assert cell.error["ename"] == "CommandError" and "ended by SIGINT" in cell.error["evalue"]


def test_a_command_is_interrupted(kernel):
    import time

    def stop():
        time.sleep(0.5)
        kernel.interrupt()

    began = time.monotonic()
    cell = kernel.run("!echo begun; sleep 30", during=stop)
    assert cell.error["ename"] == "KeyboardInterrupt" and time.monotonic() - began < 15 and cell.stdout == "begun\n"


def test_scripts(kernel):
    cell = kernel.run('%%bash\nfor i in 1 2; do\n  echo "line $i"\ndone\n%cd | cat >/dev/null\n')
    assert cell.stdout == "line 1\nline 2\n" and cell.reply["status"] == "ok"
    assert kernel.run("%%sh\nprintf '%s' ok").stdout == "ok"
    assert "exit code 4" in kernel.run("%%bash\nexit 4").error["evalue"]


def test_time(kernel):
    cell = kernel.run("%time const slow = await new Promise<number>((r) => setTimeout(() => r(5), 120))\nslow")
    assert cell.result == "5" and TIME.fullmatch(cell.stdout)
    assert float(re.search(r"Wall time: ([\d.]+) ms", cell.stdout)[1]) >= 110
    cell = kernel.run("const twice = (n: number) => 2 * n;\n%time twice(slow)")
    assert cell.result == "10" and TIME.fullmatch(cell.stdout)
    assert kernel.run("%time await Promise.resolve([1])").result == "[ 1 ]"
    cell = kernel.run("%time for (let i = 0; i < 3; i++) console.log(i)")
    assert TIME.fullmatch(cell.stdout.removeprefix("0\n1\n2\n"))
    cell = kernel.run("%time twice(\n  3,\n)\nconst after = 1")
    assert cell.result is None and TIME.fullmatch(cell.stdout)
    cell = kernel.run("%time twice('a')")
    assert cell.error["ename"] == "TS2345" and ":1:13" in cell.traceback
    cell = kernel.run("let q = 1;\n%time q.x.y.z()")
    assert "In[" in cell.traceback
    assert "code" in kernel.run("%time").error["evalue"]
    # Lines and columns stay those of the user.
    assert ":2:" in kernel.run("%time 1\nthrow new Error('here')").traceback
    cell = kernel.run("%time enum Shade { Dark, Light }\nShade.Light")
    assert cell.result == "1" and TIME.fullmatch(cell.stdout)


def test_time_of_a_cell(kernel):
    cell = kernel.run("%%time\nconst timed = [1, 2]\nconsole.log('in')\ntimed")
    assert cell.result == "[ 1, 2 ]" and TIME.fullmatch(cell.stdout.removeprefix("in\n"))
    assert kernel.run("timed.length").result == "2"
    assert kernel.run("%%time\n{a: 1}").result == "{ a: 1 }"
    assert kernel.run("%%time\nconst n: number = ''").error["ename"] == "TS2322"
    assert "next line" in kernel.run("%%time 1 + 1").error["evalue"]


def test_timeit(kernel):
    per_loop = re.compile(r"[\d.]+ ([nµm]?s) ± [\d.]+ [nµm]?s per loop \(mean ± std. dev. of (\d+) runs, ([\d,]+) loops? each\)\n")
    kernel.run("let calls = 0; const work = () => { calls++ }; const later = () => new Promise((r) => setTimeout(r, 20))")
    found = per_loop.fullmatch(kernel.run("%timeit -n 10 -r 3 work()").stdout)
    assert found[2] == "3" and found[3] == "10" and kernel.run("calls").result == "31"
    assert int(per_loop.fullmatch(kernel.run("%timeit -r 2 work()").stdout)[3].replace(",", "")) >= 1000
    for code in ["later()", "await later()"]:
        found = per_loop.fullmatch(kernel.run(f"%timeit -r2 -n1 {code}").stdout)
        assert found[1] == "ms"
    assert "expression" in kernel.run("%timeit const c = 1").error["evalue"]
    assert kernel.run("%timeit work(1)").error["ename"] == "TS2554"


def test_folders(kernel, tmp_path):
    (tmp_path / "a b").mkdir()
    home = kernel.run("process.cwd()").result.strip("'")
    assert kernel.run(f'%cd "{tmp_path}/a b"').stdout == f"{tmp_path}/a b\n"
    assert kernel.run("%cd ..\n%pwd\n!pwd").stdout == f"{tmp_path}\n" * 3
    assert kernel.run(f"%cd {home}").stdout == f"{home}\n"
    assert kernel.run("%cd -").stdout == f"{tmp_path}\n"
    assert kernel.run("%cd nowhere").error["ename"] == "Error" and "nowhere" in kernel.run("%cd nowhere").error["evalue"]
    kernel.run(f"%cd {home}")


def test_environment(kernel):
    assert kernel.run("%env OWN_VALUE=a b\nprocess.env.OWN_VALUE").result == "'a b'"
    assert kernel.run("%env OWN_VALUE").stdout == "a b\n"
    assert kernel.run('%env OTHER "c d"\nprocess.env.OTHER').result == "'c d'"
    assert kernel.run("%env MY_TOKEN=sesame").stdout == "MY_TOKEN=<hidden>\n"
    everything = kernel.run("%env").stdout
    assert "OWN_VALUE=a b\n" in everything and "MY_TOKEN=<hidden>\n" in everything and "sesame" not in everything
    assert "NOT_THERE" in kernel.run("%env NOT_THERE").error["evalue"]


def test_who_and_reset(own_kernel):
    kernel = own_kernel
    assert "no names" in kernel.run("%who").stdout
    kernel.run("const rate = 0.1; function half(n: number) { return n / 2 }\ninterface Point { x: number }\nimport { join } from 'node:path'")
    listed = dict(line.split(None, 1) for line in kernel.run("const now = 1\n;\n%who").stdout.splitlines())
    assert listed["half"] == "(n: number) => number" and listed["rate"] == "0.1" and listed["Point"] == "interface"
    assert "paths" in listed["join"] and "now" not in listed
    comm = kernel.run('comms.open("t").id').result.strip("'")
    before = kernel.run("process.pid").result
    cell = kernel.run("%reset")
    assert cell.reply["status"] == "ok" and cell.types.count("error") == 0
    assert comm in {m["content"]["comm_id"] for m in cell.messages + kernel.late(0.2) if m["msg_type"] == "comm_close"}
    assert kernel.run("rate").error["ename"] == "TS2304"
    after = kernel.run("process.pid")
    assert after.result != before and after.reply["execution_count"] > 5
    assert "only line" in kernel.run("1\n;\n%reset").error["evalue"]
    assert kernel.run("let rate = 'again'; rate").result == "'again'"


def test_help(kernel):
    listed = kernel.run("%help").stdout
    for name in ["%time", "%timeit", "%cd", "%env", "%npm", "%who", "%reset", "%load", "%%bash", "%%js", "!"]:
        assert re.search(rf"^{name}\s", listed, re.M) or f"{name} " in listed, name
    [payload] = kernel.run("%help parseInt").reply["payload"]
    assert payload["source"] == "page" and "parseInt" in payload["data"]["text/plain"]


def test_unknown_magics(kernel):
    cell = kernel.run("%tiem f()")
    assert cell.error["ename"] == "SyntaxError" and "%tiem" in cell.error["evalue"] and "%time" in cell.error["evalue"]
    assert "%%bahs" in kernel.run("%%bahs\nls").error["evalue"]
    assert kernel.request("is_complete_request", code="%time f()")["status"] == "complete"
    assert kernel.request("is_complete_request", code="%time (() => {")["status"] == "incomplete"
    assert kernel.request("is_complete_request", code="%nothing")["status"] == "invalid"
    assert kernel.request("inspect_request", code="%nothing", cursor_pos=4, detail_level=0)["found"] is False
    found = kernel.request("complete_request", code="%ti", cursor_pos=3)
    assert found["matches"] == ["%time", "%timeit"] and (found["cursor_start"], found["cursor_end"]) == (0, 3)
    kernel.run("const width = 1")
    assert kernel.request("complete_request", code="%time widt", cursor_pos=10)["matches"] == ["width"]


def test_load(own_kernel):
    kernel = own_kernel
    (kernel.cwd / "part.ts").write_text("export const part = 1;\n")
    cell = kernel.run("%load part.ts")
    assert cell.reply["payload"] == [{"source": "set_next_input", "text": "// %load part.ts\nexport const part = 1;\n", "replace": True}]
    assert "missing.ts" in kernel.run("%load missing.ts").error["evalue"]
    assert "path" in kernel.run("%load").error["evalue"]


def test_npm(own_kernel):
    kernel = own_kernel
    package = kernel.cwd / "made"
    package.mkdir()
    files = {
        "package.json": json.dumps({"name": "made", "version": "1.0.0", "type": "module", "exports": "./index.js", "types": "index.d.ts", "scripts": {"postinstall": "touch ../ran ran"}}),
        "index.js": "export const answer = 42;",
        "index.d.ts": "export declare const answer: number;",
    }
    for name, text in files.items():
        (package / name).write_text(text)
    assert "made-not-there" in kernel.run('import "made-not-there"').traceback
    assert kernel.run('import { answer } from "made"').reply["status"] == "error"
    cell = kernel.run("%npm add ./made", timeout=90)
    assert cell.reply["status"] == "ok", cell.messages
    assert json.loads((kernel.cwd / "package.json").read_text())["dependencies"] == {"made": "file:made"}
    assert kernel.run('import { answer } from "made"; answer').result == "42"
    assert kernel.run("const text: string = answer").error["ename"] == "TS2322"
    assert not [path for path in kernel.cwd.rglob("ran")], "an install script ran"
    assert "npm add" in kernel.run("%npm publish").error["evalue"]
    assert "npm add" in kernel.run("%npm add").error["evalue"]
