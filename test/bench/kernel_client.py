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
INTERRUPTS = 20
LINES = 100_000

# A cell with fresh declarations, by the language of the kernel.
FRESH = {
    "typescript": "const a{i}: number = {i}; function f{i}(x: number) {{ return x + a{i} }}; f{i}(1)",
    "python": "a{i}: int = {i}\ndef f{i}(x: int): return x + a{i}\nf{i}(1)",
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


def interrupt(manager, client, code):
    """Seconds from the interrupt to the idle of the cell."""
    sent = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["msg_type"] == "execute_input" and message["parent_header"].get("msg_id") == sent:
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
    client.get_shell_msg(timeout=60)
    if name != "KeyboardInterrupt":
        raise RuntimeError(f"the interrupt of {code!r} ended in {name}")
    return time.perf_counter() - begin


def lines(client):
    """Seconds for LINES lines of console.log; they must all come, in order."""
    begin = time.perf_counter()
    sent = client.execute(f"for (let i = 0; i < {LINES}; i++) console.log(i)")
    text = []
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") != sent:
            continue
        if message["msg_type"] == "stream":
            text.append(message["content"]["text"])
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
    client.get_shell_msg(timeout=60)
    seconds = time.perf_counter() - begin
    if "".join(text) != "".join(f"{i}\n" for i in range(LINES)):
        raise RuntimeError("lines are missing or out of order")
    return seconds, len(text)


def measure(name):
    manager, client, ready = start(name)
    try:
        fresh = FRESH[manager.kernel_spec.language]
        first = run(client, "1+1")
        plain = [run(client, f"1+{i}") for i in range(CELLS)]
        declared = [run(client, fresh.format(i=i)) for i in range(CELLS)]
        return {"ready": ready, "first": first, "plain": median(plain), "fresh": median(declared)}
    finally:
        manager.shutdown_kernel(now=True)
        client.stop_channels()


def measure_own(name):
    """What only ours can do: stop a loop after an await, and lose no line."""
    manager, client, _ = start(name)
    try:
        stops = {}
        for id, code in {"loop": "while (true) {}", "after-await": "await 1; while (true) {}"}.items():
            run(client, "1")
            stops[id] = [interrupt(manager, client, code) for _ in range(INTERRUPTS)]
        seconds, messages = lines(client)
        return {"stops": stops, "lines": seconds, "messages": messages}
    finally:
        manager.shutdown_kernel(now=True)
        client.stop_channels()


folder, rounds, *names = sys.argv[1:]
os.environ["JUPYTER_PATH"] = folder
for _ in range(int(rounds)):
    for name in names:
        print(json.dumps({"kernel": name, **measure(name)}), flush=True)
print(json.dumps({"kernel": "own", **measure_own(names[0])}), flush=True)
