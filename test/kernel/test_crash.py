"""A cell that kills its process: the user is told why, and the next cell runs in a fresh one."""

import os
import signal
import subprocess
import sys
import time

import pytest

CRASHES = {
    "process.exit(3)": ("ProcessExit", "exit code 3"),
    "process.exit()": ("ProcessExit", "exit code 0"),
    "process.abort()": ("ProcessExit", "SIGABRT"),
    'process.kill(process.pid, "SIGSEGV"); await new Promise(() => {})': ("ProcessExit", "SIGSEGV"),
    'process.kill(process.pid, "SIGKILL"); for (;;) {}': ("ProcessExit", "killed (SIGKILL)"),
    "setTimeout(() => process.exit(7), 50); await new Promise(() => {})": ("ProcessExit", "exit code 7"),
}


@pytest.mark.parametrize("code", CRASHES)
def test_the_cause_is_named_and_the_kernel_goes_on(kernel, code):
    ename, cause = CRASHES[code]
    assert kernel.run("let gone = 1").reply["status"] == "ok"
    cell = kernel.run(f'console.log("before"); {code}', timeout=10)
    assert cell.error["ename"] == ename and cause in cell.error["evalue"]
    assert cell.stdout == "before\n"
    assert kernel.run("gone").error["ename"] == "TS2304"
    assert kernel.run("%%js\ntypeof gone").result == "'undefined'"
    assert kernel.run("let gone = 'declared again'; gone").result == "'declared again'"


def test_a_full_heap(kernels_folder, tmp_path):
    from client import Kernel

    with Kernel(kernels_folder, tmp_path, NODE_OPTIONS="--max-old-space-size=128") as kernel:
        cell = kernel.run("const big: number[][] = []; for (;;) big.push(new Array(1000).fill(1.5))", timeout=60)
        assert cell.error["ename"] == "OutOfMemory" and "heap" in cell.error["evalue"]
        assert kernel.run("1").result == "1"


def test_death_between_cells_is_told(kernel):
    cell = kernel.run("setTimeout(() => process.exit(5), 100); 0")
    errors = kernel.late(10, ("error",), [cell.id], 1)
    assert len(errors) == 1 and "exit code 5" in errors[0]["content"]["evalue"]
    assert errors[0]["parent_header"]["msg_id"] == cell.id
    assert kernel.run("1").result == "1"


def test_death_after_a_silent_run_is_told_under_the_last_cell_that_was_shown(kernel):
    cell = kernel.run("setTimeout(() => process.exit(6), 400)")
    assert kernel.run("1", silent=True).reply["status"] == "ok"
    late = kernel.late(10, ("error",), [cell.id], 1)
    assert late[0]["content"]["ename"] == "ProcessExit" and "exit code 6" in late[0]["content"]["evalue"]
    assert kernel.run("1").result == "1"


def test_death_from_outside(kernel):
    worker = int(kernel.run("process.pid").result)
    os.kill(worker, signal.SIGKILL)
    time.sleep(0.3)
    assert kernel.run("1").result == "1"


def test_a_cell_that_is_sent_while_the_process_dies(kernel):
    for i in range(5):
        os.kill(int(kernel.run("process.pid").result), signal.SIGKILL)
        time.sleep(0.004 * i)
        cell = kernel.run("40 + 2")
        assert cell.result == "42" or cell.error["ename"] == "ProcessExit"
        assert kernel.run("1").result == "1"


def test_a_grandchild_that_holds_the_output_does_not_hold_the_kernel(kernel):
    begin = time.monotonic()
    cell = kernel.run('import { spawn } from "node:child_process"; spawn("sleep", ["30"], { stdio: "inherit" }); process.exit(1)')
    assert "exit code 1" in cell.error["evalue"] and time.monotonic() - begin < 15
    assert kernel.run("1").result == "1"


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


def family(pid):
    """The process and its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    parent = int(stat.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry))
    found = [pid]
    for each in found:
        found.extend(children.get(each, []))
    return found


def wait_until_gone(pids, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        left = [pid for pid in pids if alive(pid)]
        if not left:
            return []
        time.sleep(0.05)
    return left


def test_a_busy_kernel_that_is_killed_leaves_no_process(own_kernel):
    own_kernel.run('import { spawn } from "node:child_process"; spawn("sleep", ["60"]); 0')
    own_kernel.client.execute("for (;;) {}")
    time.sleep(0.2)
    processes = family(own_kernel.pid)
    assert len(processes) >= 3
    os.kill(own_kernel.pid, signal.SIGKILL)
    assert wait_until_gone(processes[1:]) == []


@pytest.mark.parametrize("restart", [False, True])
def test_shutdown_answers_and_leaves_no_process(own_kernel, restart):
    own_kernel.run('import { spawn } from "node:child_process"; spawn("sleep", ["60"]); 0')
    processes = family(own_kernel.pid)
    reply = own_kernel.request("shutdown_request", "control", restart=restart)
    assert reply == {"status": "ok", "restart": restart}
    kinds = [m["msg_type"] for m in own_kernel.outputs(own_kernel.last)]
    assert kinds == ["status", "shutdown_reply", "status"]
    own_kernel.manager.provisioner.process.wait(5)
    assert wait_until_gone(processes) == []


def test_the_kernel_ends_with_the_program_that_started_it(kernels_folder, tmp_path):
    program = f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from client import Kernel
kernel = Kernel({str(kernels_folder)!r}, {str(tmp_path)!r}).__enter__()
kernel.client.execute("for (;;) {{}}")
print(kernel.pid, flush=True)
import time; time.sleep(60)
"""
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    front = int(starter.stdout.readline())
    time.sleep(0.3)
    processes = family(front)
    assert len(processes) >= 2
    starter.kill()
    starter.wait()
    assert wait_until_gone(processes) == []
