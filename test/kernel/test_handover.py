"""Cells go from the compiler straight to the process that runs them; what the front knows and decides meanwhile still holds."""

import os
import signal
import time

from test_crash import family


def test_every_fresh_process_gets_its_cells(kernel):
    """More processes than there are channels: the last ones get their cells through the front."""
    for i in range(11):
        assert kernel.run(f"let own = {i}; own").result == str(i)
        assert kernel.run("own + 1").result == str(i + 1)
        assert "exit code 9" in kernel.run("process.exit(9)").error["evalue"]


def test_a_cell_that_was_stopped_before_it_ran_never_runs(kernel):
    """The stop comes while the compiler has the cell, while it hands it over, or after that."""
    kernel.run("let ran = -1")
    kinds = set()
    for i in range(60):
        sent = kernel.client.execute(f"ran = {i}; for (;;) {{}}", allow_stdin=False)
        time.sleep(0.0001 * i)
        # Control may be read before shell: the kernel then knows of no cell yet.
        for _ in range(100):
            kernel.interrupt()
            try:
                kernel.others.append(kernel.check(kernel.client.get_shell_msg(timeout=0.1)))
                break
            except Exception:
                continue
        reply = kernel.others.pop()
        assert reply["parent_header"]["msg_id"] == sent and reply["content"]["ename"] == "KeyboardInterrupt"
        kernel.outputs(sent)
        has_run = kernel.run("ran").result == str(i)
        before = "before it ran" in reply["content"]["evalue"]
        assert not (before and has_run), f"cell {i} was told not to have run"
        kinds.add(before)
    print(f"stopped before and after they had begun: {kinds}")


def test_the_death_of_the_process_during_a_check_is_told_and_the_cell_answers(kernel):
    """A type that takes the compiler a while, and a death meanwhile."""
    grow = "type Grow<N extends number, T extends 0[] = []> = T['length'] extends N ? T : Grow<N, [...T, 0]>;\n"
    pid = int(kernel.run("process.pid").result)
    slow = grow + "\n".join(f"type G{i} = Grow<{800 + i}>; const g{i}: G{i}['length'] = {800 + i};" for i in range(20))
    cell = kernel.run(f"{slow}\n6 * 7", timeout=60, during=lambda: (time.sleep(0.15), os.kill(pid, signal.SIGKILL)))
    assert cell.result == "42" or cell.error["ename"] == "ProcessExit"
    assert int(kernel.run("process.pid").result) != pid
    assert kernel.run("1").result == "1"


def test_the_death_of_the_compiler_leaves_the_next_cells_alone(own_kernel):
    """Its successor has no channel to the process that runs: cells go through the front."""
    own_kernel.run("let kept = 1")
    compiler = [pid for pid in family(own_kernel.pid) if b"check.blob" in open(f"/proc/{pid}/cmdline", "rb").read()]
    for pid in compiler:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    assert own_kernel.run("kept + 1", timeout=60).result == "2"
    assert own_kernel.run("process.exit(3)").error["ename"] == "ProcessExit"
    assert own_kernel.run("let kept = 5; kept").result == "5"


def test_what_a_child_prints_at_once_belongs_to_its_own_cell(kernel):
    kernel.run('import { execSync } from "node:child_process"')
    for i in range(20):
        cell = kernel.run(f'execSync("echo {i}", {{ stdio: "inherit" }}); 0')
        assert cell.stdout == f"{i}\n"
