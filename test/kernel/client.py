"""A client that checks every message it gets, and the outputs of a cell in a form that tests can read."""

import os
import time
from dataclasses import dataclass, field
from queue import Empty

from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager
from schema import faults


def check(message):
    """Fails when a message is not as the specification and this kernel's own rules want it; returns it."""
    header, content, kind = message["header"], message["content"], message["msg_type"]
    assert faults(message) == []
    assert tuple(int(part) for part in header["version"].split(".")) >= (5, 2)
    if kind == "execute_reply":
        assert isinstance(content["payload"], list) and isinstance(content["user_expressions"], dict)
    if kind in ("execute_result", "display_data", "update_display_data"):
        assert isinstance(content["data"]["text/plain"], str) and isinstance(content["transient"], dict)
    return message


@dataclass
class Cell:
    """What one execute request brought."""

    id: str
    reply: dict
    reply_metadata: dict
    messages: list = field(default_factory=list)

    def all(self, kind):
        return [m["content"] for m in self.messages if m["msg_type"] == kind]

    def stream(self, name):
        return "".join(c["text"] for c in self.all("stream") if c["name"] == name)

    @property
    def stdout(self):
        return self.stream("stdout")

    @property
    def stderr(self):
        return self.stream("stderr")

    @property
    def result(self):
        """The text of the value, None when the cell has none."""
        results = self.all("execute_result")
        assert len(results) <= 1
        return results[0]["data"]["text/plain"] if results else None

    @property
    def error(self):
        errors = self.all("error")
        assert len(errors) == 1, f"{len(errors)} error messages: {self.messages}"
        if self.reply["status"] == "error":
            assert {k: self.reply[k] for k in ("ename", "evalue", "traceback")} == errors[0]
        return errors[0]

    @property
    def traceback(self):
        return "\n".join(self.error["traceback"])

    @property
    def types(self):
        return [
            m["content"]["execution_state"] if m["msg_type"] == "status" else m["msg_type"] for m in self.messages
        ]


class Kernel:
    """
    A kernel and a client of it; as a context manager it ends with all its processes. `check` judges each message: another kernel need not keep
    our rules.
    """

    def __init__(self, folder, cwd, kernel_name="whetstone", check=check, **env):
        specs = KernelSpecManager(kernel_dirs=[str(folder)], ensure_native_kernel=False)
        self.manager = KernelManager(kernel_name=kernel_name, kernel_spec_manager=specs)
        self.cwd, self.env, self.check = cwd, env, check
        # Messages that came while those of another request were read.
        self.others = []

    def __enter__(self):
        self.start()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=30)
        return self

    def start(self):
        """Starts the kernel; its client is not connected yet."""
        # A history of its own, unless the test says otherwise.
        env = {**os.environ, "WHETSTONE_HISTORY": ":memory:", **self.env}
        # ipykernel leaves the descriptors alone where it finds pytest, which has its own plans with them.
        env.pop("PYTEST_CURRENT_TEST", None)
        self.manager.start_kernel(cwd=str(self.cwd), env=env)
        self.client = self.manager.client()

    def __exit__(self, *_):
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)

    @property
    def pid(self):
        return self.manager.provisioner.pid

    def run(self, code, timeout=20, during=None, answers=(), **options):
        """Runs a cell to its idle and reply. `during` is called once it has been sent; `answers` are typed at its prompts."""
        options.setdefault("allow_stdin", bool(answers))
        sent = self.client.execute(code, **options)
        if during is not None:
            during()
        answers = list(answers)
        for answer in answers:
            asked = self.check(self.client.get_stdin_msg(timeout=timeout))
            assert asked["parent_header"]["msg_id"] == sent
            self.client.input(answer(asked["content"]) if callable(answer) else answer)
        return self.collect(sent, timeout)

    def collect(self, sent, timeout=20):
        """The outputs of a request that was sent, up to its idle, and its reply."""
        messages = self.outputs(sent, timeout)
        reply = self.reply(sent, timeout)
        return Cell(sent, reply["content"], reply["metadata"], messages)

    def outputs(self, sent, timeout=20):
        messages, end = [], time.monotonic() + timeout
        while True:
            message = self.check(self.client.get_iopub_msg(timeout=max(0.01, end - time.monotonic())))
            if message["parent_header"].get("msg_id") != sent:
                self.others.append(message)
                continue
            messages.append(message)
            if message["content"].get("execution_state") == "idle":
                return messages

    def reply(self, sent, timeout=20, channel="shell"):
        get = self.client.get_shell_msg if channel == "shell" else self.client.get_control_msg
        end = time.monotonic() + timeout
        while True:
            message = self.check(get(timeout=max(0.01, end - time.monotonic())))
            if message["parent_header"].get("msg_id") == sent:
                return message

    def request(self, kind, channel="shell", timeout=20, **content):
        """Sends a request; returns its reply's content."""
        message = self.client.session.msg(kind, content)
        getattr(self.client, f"{channel}_channel").send(message)
        reply = self.reply(message["header"]["msg_id"], timeout, channel)
        assert reply["msg_type"] == kind.replace("_request", "_reply")
        self.last = message["header"]["msg_id"]
        return reply["content"]

    def interrupt(self):
        """An interrupt_request on control, as a server sends it."""
        self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))

    def late(self, seconds, kinds=None, of=None, count=None):
        """
        The iopub messages of the next seconds, and those that came among others' outputs: of these kinds, of these requests. With `count` no longer
        than until so many have come.
        """
        found, end = [], time.monotonic() + seconds
        came, self.others = self.others, []
        while count is None or len(found) < count:
            if came:
                message = came.pop(0)
            else:
                left = end - time.monotonic()
                if left <= 0:
                    break
                try:
                    message = self.check(self.client.get_iopub_msg(timeout=left))
                except Empty:
                    break
            if (kinds is None or message["msg_type"] in kinds) and (of is None or message["parent_header"].get("msg_id") in of):
                found.append(message)
        return found
