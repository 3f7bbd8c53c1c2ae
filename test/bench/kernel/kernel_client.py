"""Measures kernels over jupyter_client, in turns, so that all see the same machine.

python kernel_client.py FOLDER ROUNDS KERNEL... : kernelspecs by name from FOLDER/kernels; prints one JSON line a round and kernel.
"""

import json
import os
import sys
import time
from statistics import median

from jupyter_client import KernelManager

CELLS = 100
INTERRUPTS = 50
LINES = 1_000_000
WRITE = 50_000_000

# A cell with fresh declarations, by the language of the kernel.
FRESH = {
    "typescript": "const a{i}: number = {i}; function f{i}(x: number) {{ return x + a{i} }}; f{i}(1)",
    "python": "a{i}: int = {i}\ndef f{i}(x: int): return x + a{i}\nf{i}(1)",
}

# The same, unchecked, where a kernel checks types.
UNCHECKED = {
    "whetstone": "%%js\nconst b{i} = {i}; function g{i}(x) {{ return x + b{i} }}; g{i}(1)",
    "deno": "const b{i} = {i}; function g{i}(x) {{ return x + b{i} }}; g{i}(1)",
    "ipykernel": "b{i} = {i}\ndef g{i}(x): return x + b{i}\ng{i}(1)",
}

# Each kind of cell that an interrupt has to end.
STOPPED = {
    "sync-loop": "while (true) {}",
    "loop-after-await": "await 1; while (true) {}",
    "pending-promise": "await new Promise(() => {})",
    "child-process": "import { execSync } from 'node:child_process'; execSync('sleep 60')",
    "input": "prompt('name')",
    "timer-storm": "for (let i = 0; i < 500; i++) setInterval(() => {}, 0); const again = () => { setImmediate(again) }; again(); await new Promise(() => {})",
    "microtask-storm": "const flood = () => { Promise.resolve().then(flood) }; for (let i = 0; i < 50; i++) flood(); await new Promise(() => {})",
    "native-call": "import { pbkdf2Sync } from 'node:crypto'; for (;;) pbkdf2Sync('a', 'b', 20_000, 64, 'sha512')",
}


def run(client, code):
    """Seconds from the request until its idle and its reply are here."""
    begin = time.perf_counter()
    sent = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") != sent:
            continue
        if message["msg_type"] == "error":
            raise RuntimeError(f"{code}: {message['content']['evalue']}")
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
    client.get_shell_msg(timeout=60)
    return time.perf_counter() - begin


def start(name):
    begin = time.perf_counter()
    manager = KernelManager(kernel_name=name)
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    return manager, client, time.perf_counter() - begin


def interrupt(manager, client, code, number):
    """Seconds from the interrupt to the idle of the cell."""
    sent = client.execute(f"kept = {number}; console.log('begun'); {code}", allow_stdin=True)
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["msg_type"] == "stream" and message["parent_header"].get("msg_id") == sent:
            break
    time.sleep(0.05)
    begin = time.perf_counter()
    manager.interrupt_kernel()
    name = None
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") != sent:
            continue
        if message["msg_type"] == "error":
            name = message["content"]["ename"]
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
    seconds = time.perf_counter() - begin
    client.get_shell_msg(timeout=60)
    if name != "KeyboardInterrupt":
        raise RuntimeError(f"the interrupt of {code!r} ended in {name}")
    run(client, f"if (kept !== {number}) throw new Error('kept is ' + kept)")
    return seconds


def read(client, code):
    """Seconds for a cell, and the parts of what it writes."""
    begin = time.perf_counter()
    sent = client.execute(code)
    text = []
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["parent_header"].get("msg_id") != sent:
            continue
        if message["msg_type"] == "stream":
            text.append(message["content"]["text"])
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
    client.get_shell_msg(timeout=60)
    return time.perf_counter() - begin, text


def lines(client):
    """Seconds for LINES lines of console.log, which must all come, in order, and in how many messages they came."""
    seconds, text = read(client, f"for (let i = 0; i < {LINES}; i++) console.log(i)")
    if "".join(text) != "".join(f"{i}\n" for i in range(LINES)):
        raise RuntimeError("lines are missing or out of order")
    return seconds, len(text)


def one_write(client):
    """Seconds for one write of WRITE characters."""
    seconds, text = read(client, f"process.stdout.write('0123456789'.repeat({WRITE // 10})); 0")
    if "".join(text) != "0123456789" * (WRITE // 10):
        raise RuntimeError("text of the one large write is missing")
    return seconds


def measure(name):
    manager, client, ready = start(name)
    try:
        fresh = FRESH[manager.kernel_spec.language]
        first = run(client, "1+1")
        plain = [run(client, f"1+{i}") for i in range(CELLS)]
        declared = [run(client, fresh.format(i=i)) for i in range(CELLS)]
        loose = [run(client, UNCHECKED[name].format(i=i)) for i in range(CELLS)]
        return {
            "ready": ready,
            "first": first,
            "plain": median(plain),
            "fresh": median(declared),
            "unchecked": median(loose),
        }
    finally:
        manager.shutdown_kernel(now=True)
        client.stop_channels()


def measure_own(name):
    """What only ours can do: stop a loop after an await, and lose no line."""
    manager, client, _ = start(name)
    try:
        run(client, "let kept = 0")
        stops = {}
        for kind, code in STOPPED.items():
            stops[kind] = [interrupt(manager, client, code, i) for i in range(INTERRUPTS)]
        seconds, messages = lines(client)
        return {"stops": stops, "lines": seconds, "messages": messages, "write": one_write(client)}
    finally:
        manager.shutdown_kernel(now=True)
        client.stop_channels()


folder, rounds, *names = sys.argv[1:]
os.environ["JUPYTER_PATH"] = folder
for _ in range(int(rounds)):
    for name in names:
        print(json.dumps({"kernel": name, **measure(name)}), flush=True)
print(json.dumps({"kernel": "own", **measure_own(names[0])}), flush=True)
