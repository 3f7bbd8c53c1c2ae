"""The panel of variables and that of the machine's use, as JupyterLab asks for them, without a debugger."""

import os
import time
from pathlib import Path

import pytest
from client import Kernel


@pytest.fixture(scope="module")
def kernel(kernels_folder, tmp_path_factory):
    """One whose folder has the packages of the project."""
    folder = tmp_path_factory.mktemp("variables")
    os.symlink(Path(__file__).parents[2] / "node_modules", folder / "node_modules")
    with Kernel(kernels_folder, folder) as kernel:
        yield kernel


def debug(kernel, command, **arguments):
    """The response to a debug request."""
    reply = kernel.request("debug_request", "control", type="request", seq=7, command=command, arguments=arguments)
    assert (reply["type"], reply["request_seq"], reply["command"]) == ("response", 7, command)
    return reply


def body(kernel, command, **arguments):
    reply = debug(kernel, command, **arguments)
    assert reply["success"], reply
    return reply["body"]


def variables(kernel):
    return {v["name"]: v for v in body(kernel, "inspectVariables")["variables"]}


def parts(kernel, variable):
    return {v["name"]: v for v in body(kernel, "variables", variablesReference=variable["variablesReference"])["variables"]}


@pytest.fixture(autouse=True)
def control_status(monkeypatch):
    """Replies on control carry a status that those of a debugger do not have."""
    import client

    checked = client.check
    monkeypatch.setattr(client, "check", lambda m: m if m["msg_type"] == "debug_reply" else checked(m))


def test_variables(kernel):
    kernel.run(
        """let rate = 0.5; const words = ["a", "b"]; function half(n: number) { return n / 2 }
        class Layer { units = 3; get size(): number { throw new Error("no") } }
        const layer = new Layer(); const nothing = undefined; const big = 10n; let text = "x".repeat(1000);
        const map = new Map<unknown, unknown>([["k", { deep: [1] }]]); const set = new Set([1]); interface Shape {}; type Id = string;
        const cycle: any = {}; cycle.self = cycle; var old = null; import { join } from "node:path\""""
    )
    found = variables(kernel)
    assert {"rate", "words", "half", "Layer", "layer", "nothing", "big", "text", "map", "set", "cycle", "old", "join"} == set(found)
    brief = {name: (v["declaredType"], v["value"]) for name, v in found.items()}
    assert brief["rate"] == ("number", "0.5") and brief["words"] == ("string[]", "[ 'a', 'b' ]") and brief["big"] == ("10n", "10n")
    assert brief["half"] == ("(n: number) => number", "(n: number) => number") and brief["nothing"][1] == "undefined"
    assert brief["layer"] == ("Layer", "Layer { units: 3 }") and len(brief["text"][1]) < 300
    assert all(v["evaluateName"] == name for name, v in found.items())
    assert found["rate"]["variablesReference"] == 0 and found["nothing"]["variablesReference"] == 0
    assert {k: (v["declaredType"], v["value"]) for k, v in parts(kernel, found["words"]).items()} == {"0": ("string", "'a'"), "1": ("string", "'b'")}
    assert parts(kernel, found["layer"])["units"]["value"] == "3"
    inner = parts(kernel, found["map"])["'k'"]
    assert parts(kernel, parts(kernel, inner)["deep"])["0"]["value"] == "1"
    assert parts(kernel, parts(kernel, parts(kernel, found["cycle"])["self"])["self"])
    assert not debug(kernel, "variables", variablesReference=99_999)["success"]


def test_tensors_and_frames(kernel):
    kernel.run(
        """import * as tf from "@tensorflow/tfjs-core"; import * as dfd from "danfojs-node";
        const t = tf.tensor([[1, 2], [3.14159, 4]]); const large = tf.zeros([200, 300]); const gone = tf.scalar(1); gone.dispose();
        const params = { w: tf.zeros([10, 3]), b: tf.zeros([3]) }; const frame = new dfd.DataFrame([[1, "a"], [2, "b"]], { columns: ["n", "s"] })""",
        timeout=90,
    )
    found = {name: v["value"] for name, v in variables(kernel).items()}
    assert found["t"] == "float32 [2, 2]: 1, 2, 3.142, 4" and found["large"] == "float32 [200, 300]"
    assert found["gone"] == "float32 [] disposed" and found["params"] == "2 tensors, 33 values"
    assert found["frame"] == "2 rows x 2 columns"
    inner = parts(kernel, variables(kernel)["params"])
    assert inner["b"]["value"] == "float32 [3]: 0, 0, 0"
    view = body(kernel, "richInspectVariables", variableName="frame")
    assert "<table" in view["data"]["text/html"] and "text/plain" in view["data"] and isinstance(view["metadata"], dict)


def test_rich_views(kernel):
    kernel.run("const shown = { toHTML: () => '<i>x</i>' }; const plain = [1]")
    assert body(kernel, "richInspectVariables", variableName="shown")["data"]["text/html"] == "<i>x</i>"
    assert body(kernel, "richInspectVariables", variableName="plain", frameId=None)["data"] == {"text/plain": "[ 1 ]"}
    for name in ["not_there", "process.exit(1)", "", "a b"]:
        assert not debug(kernel, "richInspectVariables", variableName=name)["success"]
    assert kernel.run("1").result == "1"


def test_values_that_do_not_end_and_names_without_value(kernel):
    cell = kernel.run("throw new Error('before'); let never: number = 1")
    assert cell.reply["status"] == "error"
    kernel.run("const hostile = { [Symbol.for('nodejs.util.inspect.custom')]() { throw new Error('no') } }; const proxy = new Proxy({}, { ownKeys() { throw new Error('no') } })")
    found = variables(kernel)
    assert "no" in found["hostile"]["value"] and "proxy" in found and "shown" in found
    kernel.run("const stuck = { [Symbol.for('nodejs.util.inspect.custom')]() { for (;;); } }")
    assert not debug(kernel, "inspectVariables")["success"]
    assert kernel.run("delete (stuck as any)[Symbol.for('nodejs.util.inspect.custom')]").result == "true"
    assert "stuck" in variables(kernel)


def test_variables_while_a_cell_runs(kernel):
    sent = kernel.client.execute("let now = 'in it'; await new Promise((r) => setTimeout(r, 3000))")
    time.sleep(0.5)
    assert variables(kernel)["now"]["value"] == "'in it'"
    kernel.interrupt()
    kernel.collect(sent)


def test_what_a_front_end_asks_before_it_shows_them(kernel):
    info = body(kernel, "debugInfo")
    assert info["isStarted"] is False and info["richRendering"] is True and info["stoppedThreads"] == [] and info["breakpoints"] == []
    body(kernel, "initialize", clientID="test")
    body(kernel, "attach")
    assert body(kernel, "debugInfo")["isStarted"] is True
    [point] = body(kernel, "setBreakpoints", breakpoints=[{"line": 2}], source={"path": "x"})["breakpoints"]
    assert point["verified"] is False and "breakpoints" in point["message"]
    refused = debug(kernel, "stepIn", threadId=1)
    assert not refused["success"] and "stepIn" in refused["message"]
    body(kernel, "disconnect")
    assert body(kernel, "debugInfo")["isStarted"] is False


def test_variables_of_a_process_that_ends(kernel):
    kernel.run("let here = 1")
    kernel.run("process.exit(1)")
    assert variables(kernel) == {}
    assert kernel.run("1").result == "1"


def test_usage(kernel):
    kernel.request("usage_request", "control")
    pid = int(kernel.run("const kept = new Float64Array(2 ** 24).fill(1); const end = Date.now() + 700; while (Date.now() < end); process.pid").result)
    usage = kernel.request("usage_request", "control")
    assert usage["pid"] == kernel.pid != pid and usage["hostname"] == os.uname().nodename
    assert usage["kernel_memory"] > 2**27 and usage["kernel_cpu"] > 10 and usage["cpu_count"] == os.cpu_count()
    assert 0 <= usage["host_cpu_percent"] <= 100
    memory = usage["host_virtual_memory"]
    assert 0 < memory["available"] < memory["total"] and 0 < memory["percent"] < 100


def test_variables_are_asked_for_while_cells_end(kernel):
    kernel.run("let steady = 1")
    sent = []
    for i in range(30):
        sent.append(kernel.client.execute(f"await new Promise((r) => setTimeout(r, {i % 4}))"))
        assert variables(kernel)["steady"]["value"] == "1"
    for each in sent:
        assert kernel.collect(each).reply["status"] == "ok"
