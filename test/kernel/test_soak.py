"""Mixed load for twenty minutes (SOAK_MINUTES): cells, completions, interrupts, deaths. Nothing may become slower or larger with time."""

import os
import random
import time
from pathlib import Path
from statistics import median, quantiles

from client import Kernel

MINUTES = float(os.environ.get("SOAK_MINUTES", "20"))


def tree(pid):
    """The kernel's processes: its front and what it has started."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def front(pid):
    """Open descriptors and resident megabytes of the front; megabytes of the language process beside it."""
    fds = len(os.listdir(f"/proc/{pid}/fd"))
    pages = {each: int(Path(f"/proc/{each}/statm").read_text().split()[1]) * 4096 / 1e6 for each in tree(pid)}
    language = max((size for each, size in pages.items() if "snapshot-blob" in Path(f"/proc/{each}/cmdline").read_text()), default=0)
    return {"descriptors": fds, "front MB": pages[pid], "language MB": language, "processes": len(pages)}


def test_nothing_becomes_slower_or_larger(kernels_folder, tmp_path):
    random.seed(7)
    with Kernel(kernels_folder, tmp_path) as kernel:
        for i in range(200):
            kernel.run(f"const warm{i}: number = {i}; warm{i}")
        begin = time.monotonic()
        length = MINUTES * 60
        waits = {"cell": [], "completion": [], "interrupt": []}
        sizes = []
        number = 0
        while (now := time.monotonic() - begin) < length:
            number += 1
            kind = random.choices(["cell", "completion", "interrupt", "death", "output"], [70, 20, 6, 0.3, 4])[0]
            started = time.monotonic()
            if kind == "cell":
                name = f"x{number % 500}"
                cell = kernel.run(f"const {name}: number = {number}; function f_{name}(a: number) {{ return a + {name} }}; f_{name}(1)")
                assert cell.result == str(number + 1), cell.traceback
            elif kind == "completion":
                reply = kernel.request("complete_request", code="JSON.str", cursor_pos=8)
                assert "stringify" in reply["matches"]
            elif kind == "interrupt":
                sent = kernel.client.execute("while (true) {}")
                while kernel.client.get_iopub_msg(timeout=30)["msg_type"] != "execute_input":
                    pass
                time.sleep(0.05)
                started = time.monotonic()
                kernel.interrupt()
                assert kernel.collect(sent, 30).error["ename"] == "KeyboardInterrupt"
            elif kind == "death":
                assert kernel.run("process.exit(3)", timeout=60).error["ename"] == "ProcessExit"
                assert kernel.run("1", timeout=60).result == "1"
            else:
                assert kernel.run("for (let i = 0; i < 5000; i++) console.log(i)", timeout=60).stdout.endswith("4999\n")
            if kind in waits:
                waits[kind].append((now, (time.monotonic() - started) * 1e3))
            if number % 500 == 0:
                sizes.append((now, front(kernel.pid)))
        for kind, all_of in waits.items():
            first = [wait for at, wait in all_of if at < length / 4]
            last = [wait for at, wait in all_of if at >= length * 3 / 4]
            p99 = [quantiles(part, n=100)[98] for part in (first, last)]
            print(f"{kind}: {len(all_of)}, median {median(first):.1f} then {median(last):.1f} ms, p99 {p99[0]:.1f} then {p99[1]:.1f} ms")
            assert p99[1] <= 2 * p99[0], kind
        early = [size for at, size in sizes if at < length / 2]
        late = [size for at, size in sizes if at >= length / 2]
        for what in early[0]:
            before, after = median(size[what] for size in early), median(size[what] for size in late)
            print(f"{what}: {before:.0f} in the first half, {after:.0f} in the second")
            assert after <= 1.15 * before + 1, what
