"""
What hostile and broken clients send, seeded: 5 000 messages, 100 000 where WHETSTONE_SLOW is set. The kernel never ends, answers after them as before,
still holds its variables, in the processes that it began with, and does not grow. WHETSTONE_FUZZ_SEED gives another seed.
"""

import json
import os
import random
import socket
import struct
import time
import uuid

import psutil
import zmq
from client import Kernel
from test_messages import Wire

COUNT = 100_000 if os.environ.get("WHETSTONE_SLOW") else 5_000
SEED = int(os.environ.get("WHETSTONE_FUZZ_SEED", "1"))
BATCH = 250
# Megabytes that the front may hold more at the end than half-way: the heap has then grown to what messages of up to 16 MB take.
GROWTH = 100

# Requests with the fields that the protocol gives them, each with a value that means something. No shutdown: it would be obeyed.
KINDS = {
    "execute_request": {"code": "1 + 1", "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": False},
    "complete_request": {"code": "console.lo", "cursor_pos": 10},
    "inspect_request": {"code": "parseInt", "cursor_pos": 3, "detail_level": 0},
    "is_complete_request": {"code": "if (true) {"},
    "history_request": {"hist_access_type": "tail", "n": 3, "output": True, "raw": True, "session": 0, "start": 1, "stop": 3, "pattern": "*", "unique": True},
    "comm_info_request": {"target_name": "jupyter.widget"},
    "comm_open": {"comm_id": "c", "target_name": "echo", "data": {}},
    "comm_msg": {"comm_id": "open", "data": {"method": "update", "state": {"value": 3}, "buffer_paths": []}},
    "comm_close": {"comm_id": "c", "data": {}},
    "kernel_info_request": {},
    "connect_request": {},
    "debug_request": {"type": "request", "seq": 1, "command": "inspectVariables", "arguments": {}},
    "usage_request": {},
    "interrupt_request": {},
    "input_reply": {"value": "text", "status": "ok"},
    "create_subshell_request": {},
}
NAMES = ["__proto__", "constructor", "toString", "toJSON", "then", "length", "hasOwnProperty", "code", "value", "sizes", "type", "run", ""]
WORDS = ["", "a", "\0", "\ud83d\ude00" * 20, "\u202e\u2028\ufeff", "__proto__", "constructor", "../../etc/passwd", "%s%n", "\x1b[2J", "'; drop table history; --", "[" * 300, "x" * 5000, "1e999", "\u0301" * 50, "<script>"]
CODES = ["1", "let f = 1; f", "throw 1", "const n: number = ''", "(" * 2000, "`${" * 200, "/*", "'", "\0\0", "class { ", "😀", "} catch {", "@", "await 1", "x?", "#!/bin/sh", "a" * 20_000, "%%nothing\n1", "%nothing"]


class Fuzz:
    def __init__(self, wires, seed, comms):
        self.random = random.Random(seed)
        self.wires, self.comms = wires, comms
        self.sent = []

    def one_of(self, *choices):
        return self.random.choice(choices)()

    def bytes(self, most=200):
        return self.random.randbytes(self.random.randrange(most))

    def number(self):
        return self.random.choice([0, -1, 1, 0.5, 2**31, 2**53 + 1, -(2**63), 1e308, 10**30, self.random.randrange(100)])

    def name(self):
        return self.random.choice([*NAMES, *WORDS[:4], f"n{self.random.randrange(9)}"])

    def value(self, depth=0):
        """Any JSON value."""
        plain = [lambda: None, lambda: True, lambda: False, self.number, lambda: self.random.choice(WORDS)]
        if depth > 4 or self.random.random() < 0.6:
            return self.one_of(*plain)
        some = range(self.random.randrange(4))
        return self.one_of(
            lambda: [self.value(depth + 1) for _ in some],
            lambda: {self.name(): self.value(depth + 1) for _ in some},
            lambda: {"toString": self.value(depth + 1), "valueOf": 1},
        )

    def content(self, kind):
        """What a message of this kind holds, with some fields replaced, left out or added."""
        content = dict(KINDS.get(kind, {}))
        for _ in range(self.random.randrange(4)):
            field = self.random.choice([*content, self.name()])
            self.one_of(lambda: content.update({field: self.value()}), lambda: content.pop(field, None))
        if isinstance(content.get("code"), str) and self.random.random() < 0.4:
            content["code"] = self.random.choice(CODES)
        if kind.startswith("comm_") and self.random.random() < 0.7:
            content["comm_id"] = self.random.choice(self.comms)
        if kind == "comm_msg" and self.random.random() < 0.8:
            hostile = [["__proto__", "hacked"], ["value", "__proto__", "hacked"], ["constructor", "prototype", "hacked"]]
            paths = self.random.choice([hostile, [["value"], [], [0], ["value", 2], [True]], ["value", None, [[]], {"at": 1}, [None], 7]])
            state = self.one_of(lambda: {"value": {}}, lambda: {"value": self.value()}, lambda: {self.name(): self.value()}, self.value)
            method = self.random.choice(["update"] * 6 + ["request_state", "custom", "", None, {}])
            content["data"] = {"method": method, "state": state, "buffer_paths": self.random.choices(paths, k=2), "content": self.value()}
        if kind == "execute_request" and self.random.random() < 0.05:
            content.update({"code": "await prompt('asked')", "allow_stdin": True})
        return content

    def header(self, kind):
        return {**Wire.header(kind), "msg_id": uuid.UUID(int=self.random.getrandbits(128)).hex}

    def kind(self):
        return self.random.choice(list(KINDS))

    def parts(self, kind):
        return [json.dumps(part).encode() for part in [self.header(kind), {}, {}, self.content(kind)]]

    def frames(self, parts, signature=None, buffers=()):
        return [b"<IDS|MSG>", self.wires[0].sign(parts) if signature is None else signature, *parts, *buffers]

    # The kinds of messages. Each returns frames.

    def wrong_content(self):
        buffers = [self.bytes() for _ in range(self.random.randrange(4))]
        kind = self.random.choice([*KINDS, "comm_msg", "comm_msg"])
        return self.frames(self.parts(kind), buffers=buffers)

    def hostile_answer(self):
        """To the prompt of a cell, if one waits."""
        header, content = self.header("input_reply"), {"value": self.value()}
        return self.frames([json.dumps(part).encode() for part in [header, {}, {}, content]])

    def deep(self):
        """Lists or objects within each other, in a message that is one in all other ways."""
        depth = 10 ** self.random.randrange(2, 6)
        nested = self.random.choice([b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth])
        parts = self.parts(self.kind())
        part = self.random.randrange(4)
        beginning = parts[part][:-1] + (b"" if parts[part] == b"{}" else b", ")
        parts[part] = beginning + json.dumps(self.random.choice(["deep", "data", "metadata", "value"])).encode() + b": " + nested + b"}"
        return self.frames(parts)

    def no_frames_of_a_message(self):
        pieces = [b"", b"<IDS|MSG>", b"<ids|msg>", b"{}", b"null", b"\xff\xfe", b"<IDS|MSG>" * 3]
        return [self.one_of(lambda: self.random.choice(pieces), self.bytes) for _ in range(self.random.randrange(1, 9))]

    def cut_frames(self):
        frames = self.frames(self.parts(self.kind()))
        return frames[: self.random.randrange(1, len(frames))]

    def shuffled_frames(self):
        frames = self.frames(self.parts(self.kind()))
        self.random.shuffle(frames)
        return frames

    def wrong_signature(self):
        parts = self.parts(self.kind())
        right = self.wires[0].sign(parts)
        wrong = [b"", right[:-1], right + b"0", right.upper(), right[::-1], bytes(64), b"\xff" * 64, bytes.fromhex(right.decode()), self.bytes()]
        return self.frames(parts, self.random.choice([each for each in wrong if each != right]))

    def changed_after_signing(self):
        parts = self.parts(self.kind())
        signature = self.wires[0].sign(parts)
        part = self.random.randrange(4)
        parts[part] = parts[part][:-1] + b' "more": 1}'
        return self.frames(parts, signature)

    def bad_json(self):
        parts = self.parts(self.kind())
        deep = 10 ** self.random.randrange(3, 6)
        bad = [b"", b"{", b"[]", b"null", b"5", b'"text"', b"true", b"NaN", b"{'a': 1}", b'{"a": 1,}', b"\xef\xbb\xbf{}", b'{"a": "\xff"}', b'{"a": "\\ud800"}', b"{} {}", b"[" * deep, b'{"a":' * deep + b"1" + b"}" * deep, b'{"a": ' + b"[" * deep + b"]" * deep + b"}", b'{"a": 1e999, "a": 2}', self.bytes()]
        for _ in range(self.random.randrange(1, 3)):
            parts[self.random.randrange(4)] = self.random.choice(bad)
        return self.frames(parts)

    def bad_header(self):
        header = self.header(self.kind())
        for _ in range(self.random.randrange(1, 3)):
            field = self.random.choice([*header, self.name()])
            self.one_of(lambda: header.update({field: self.value()}), lambda: header.pop(field, None))
        if header.get("msg_type") == "shutdown_request":
            header["msg_type"] = None
        content = json.dumps(self.content(str(header.get("msg_type")))).encode()
        return self.frames([json.dumps(header).encode(), b"{}", b"{}", content])

    def unknown_kind(self):
        names = ["__proto___request", "toString", "_request", "", "execute_reply", "status", "iopub_welcome", "display_data", "input_request", "a" * 1000, "\x1b[2J_request", "execute_request_request"]
        return self.frames(self.parts(self.random.choice(names)))

    def replay(self):
        return self.random.choice(self.sent) if self.sent else self.cut_frames()

    def large(self):
        """Up to 16 MB, seldom: in the content, in a buffer, as a frame that is none."""
        size = 2 ** self.random.randrange(10, 24 if self.random.random() < 0.1 else 18)
        kind = self.random.choice(["comm_msg", "kernel_info_request", "unknown_request", "is_complete_request"])
        parts = self.parts(kind)
        where = self.random.randrange(4)
        if where == 0:
            parts[3] = json.dumps({"data": "x" * size, "comm_id": "open"}).encode()
        elif where == 1:
            parts[3] = json.dumps({"data": [0] * (size // 4)}).encode()
        elif where == 2:
            parts[0] = json.dumps({**self.header(kind), "username": "u" * size}).encode()
        return self.frames(parts, buffers=[bytes(size)] if where == 3 else ())

    def message(self):
        make = self.random.choice([self.wrong_content] * 6 + [self.no_frames_of_a_message, self.cut_frames, self.shuffled_frames, self.wrong_signature, self.changed_after_signing, self.bad_json, self.bad_header, self.unknown_kind, self.replay, self.large, self.deep, self.hostile_answer])
        frames = make()
        if len(self.sent) < 200 and make != self.large:
            self.sent.append(frames)
        return frames, make == self.hostile_answer


def garbage(connection, chance):
    """A connection that speaks no ZMTP, or only its beginning, to one of the ports."""
    port = chance.choice([connection[name] for name in connection if name.endswith("_port")])
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
    texts = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        chance.randbytes(500),
        greeting,
        greeting + chance.randbytes(300),
        # A frame that is said to have 2**62 bytes.
        greeting + b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER" + b"\x02" + struct.pack(">Q", 2**62) + b"x" * 100,
        b"",
    ]
    with socket.create_connection((connection["ip"], port), timeout=10) as line:
        line.sendall(chance.choice(texts))


def subscribe(connection, chance):
    """A subscriber that leaves at once, or says what subscribers do not say."""
    listener = zmq.Context.instance().socket(zmq.XSUB)
    listener.linger = 0
    listener.connect(f"tcp://{connection['ip']}:{connection['iopub_port']}")
    for _ in range(5):
        listener.send(chance.choice([b"\x01", b"\x01" + chance.randbytes(50), b"\x00x", b"", b"\x05", chance.randbytes(20), b"\x01" + bytes(10_000)]))
    return listener


def megabytes(pid):
    return psutil.Process(pid).memory_info().rss / 2**20


def drain(wires, kernel):
    """Reads what has come, as a client does that looks at nothing."""
    for wire in wires:
        while wire.socket.poll(0):
            wire.socket.recv_multipart()
    for channel in [kernel.client.iopub_channel, kernel.client.shell_channel, kernel.client.stdin_channel]:
        while channel.msg_ready():
            channel.get_msg(timeout=1)


def wait_for_answer(wire, asked, control, fuzz):
    """Until the kernel has said what it is. A cell before may wait for what somebody types: it is interrupted."""
    for _ in range(120):
        while (answer := wire.answer(1)) is not None:
            if answer[0] == asked:
                assert answer[1]["status"] == "ok"
                return
        control.send(fuzz.header("interrupt_request"))
    raise AssertionError(f"the kernel does not answer; seed {SEED}")


HELD = "let held: number[] = [1, 2, 3]; const twice = (n: number) => 2 * n; class Kept { constructor(readonly x: number) {} }"
WIDGET = """
comms.register("echo", (comm) => comm.onMessage(({ data }) => comm.send({ data })));
const echo = comms.open("echo"); echo.onMessage(() => { heard++; });
const slider = widgets.IntSlider({ max: 10 }); const box = widgets.Text({}); const choice = widgets.Dropdown({ options: ["a", "b"] });
let heard = 0; [echo.id, slider.id, box.id, choice.id]
"""


def test_hostile_clients(kernels_folder, tmp_path):
    began = time.monotonic()
    with Kernel(kernels_folder, tmp_path) as kernel:
        assert kernel.run(HELD).reply["status"] == "ok"
        comms = json.loads(kernel.run(WIDGET).result.replace("'", '"'))
        worker = kernel.run("process.pid").result
        front = kernel.pid
        connection = kernel.manager.get_connection_info()
        wires = [Wire(kernel, port) for port in ["shell_port", "shell_port", "shell_port", "control_port", "stdin_port"]]
        beat = Wire(kernel, "hb_port")
        fuzz = Fuzz(wires, SEED, [*comms, "open", "", "c"])
        half = 0
        listeners = []
        for i in range(COUNT):
            frames, is_answer = fuzz.message()
            (wires[4] if is_answer else fuzz.random.choice(wires)).socket.send_multipart(frames)
            if i % 20 == 0:
                beat.socket.send_multipart([fuzz.bytes() for _ in range(fuzz.random.randrange(1, 4))])
            if i % 100 == 0:
                garbage(connection, fuzz.random)
                listeners.append(subscribe(connection, fuzz.random))
            if i % BATCH == BATCH - 1:
                # In its turn behind all that was sent: the kernel is asked what it is, and has to answer.
                asked = [fuzz.header("kernel_info_request") for _ in wires[:4]]
                for wire, header in zip(wires, asked):
                    wire.send(header)
                for wire, header in zip(wires, asked):
                    wait_for_answer(wire, header["msg_id"], wires[3], fuzz)
                drain([*wires, beat], kernel)
                for listener in listeners:
                    listener.close()
                listeners = []
                if half == 0 and i > COUNT / 2:
                    half = megabytes(front)
        grown = megabytes(front) - half
        for wire in [*wires, beat]:
            wire.socket.close()
        drain([], kernel)
        # A cell may have declared some of these names: that is what cells are for. Those of ours are none of theirs.
        assert kernel.run("[held, twice(4), new Kept(5).x]").result == "[ [ 1, 2, 3 ], 8, 5 ]"
        assert kernel.run("const wrong: number = held").error["ename"] == "TS2322"
        assert kernel.run("process.pid").result == worker and kernel.pid == front
        assert kernel.run("'hacked' in {} || 'hacked' in (() => {})").result == "false"
        assert kernel.run("slider.max = 20; slider.max").result == "20"
        assert kernel.run("await prompt('name')", answers=["Ada"]).result == "'Ada'"
        assert kernel.client.hb_channel.is_beating()
        assert grown < GROWTH, f"the front has grown by {grown:.0f} MB since half-way"
        print(f"{COUNT} messages in {time.monotonic() - began:.0f} s; the front held {half:.0f} MB half-way, and {grown:.0f} MB more at the end")
