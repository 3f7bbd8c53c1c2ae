"""Every message that a kernel sends, each field of it, against the messaging specification (schema.py), and what no schema can say of two messages."""

from pathlib import Path

import pytest
from schema import faults

# Requests and the channel they go to, by what makes their reply different. The name before the space is the reply's.
REPLIES = {
    "kernel_info_reply on shell": ("kernel_info_request", "shell", {}),
    "kernel_info_reply on control": ("kernel_info_request", "control", {}),
    "connect_reply": ("connect_request", "shell", {}),
    "complete_reply": ("complete_request", "shell", {"code": "prefix", "cursor_pos": "end"}),
    "complete_reply of nothing": ("complete_request", "shell", {"code": "", "cursor_pos": 0}),
    "inspect_reply": ("inspect_request", "shell", {"code": "name", "cursor_pos": "end", "detail_level": 0}),
    "inspect_reply with source": ("inspect_request", "shell", {"code": "name", "cursor_pos": "end", "detail_level": 1}),
    "inspect_reply of nothing": ("inspect_request", "shell", {"code": "", "cursor_pos": 0, "detail_level": 0}),
    "is_complete_reply complete": ("is_complete_request", "shell", {"code": "assign"}),
    "is_complete_reply incomplete": ("is_complete_request", "shell", {"code": "incomplete"}),
    "is_complete_reply invalid": ("is_complete_request", "shell", {"code": "invalid"}),
    "history_reply tail": ("history_request", "shell", {"hist_access_type": "tail", "n": 3, "raw": True, "output": False}),
    "history_reply with outputs": ("history_request", "shell", {"hist_access_type": "tail", "n": 3, "raw": True, "output": True}),
    "history_reply range": ("history_request", "shell", {"hist_access_type": "range", "session": 0, "start": 1, "stop": 3, "raw": True, "output": False}),
    "history_reply search": ("history_request", "shell", {"hist_access_type": "search", "pattern": "*", "n": 2, "unique": True, "raw": True, "output": False}),
    "comm_info_reply": ("comm_info_request", "shell", {}),
    "interrupt_reply": ("interrupt_request", "control", {}),
    "debug_reply": ("debug_request", "control", {"type": "request", "seq": 1, "command": "debugInfo"}),
    "usage_reply": ("usage_request", "control", {}),
}
# Cells and the messages that they bring, by the sample they run.
CELLS = {
    "status, execute_input, execute_reply": "assign",
    "stream stdout": "print",
    "stream stderr": "print to stderr",
    "execute_result": "1 + 1",
    "execute_result rich": "rich value",
    "display_data": "display",
    "update_display_data": "update",
    "clear_output": "clear",
    "error, execute_reply": "throw",
    "error of syntax": "syntax error",
    "comm_open": "kernel's comm",
}


def judge(messages, *kinds):
    """All messages are as specified, and these kinds are among them."""
    assert [fault for message in messages for fault in faults(message)] == []
    missing = set(kinds) - {message["msg_type"] for message in messages}
    assert not missing, f"no {missing} among {[m['msg_type'] for m in messages]}"


def run(kernel, code, **options):
    """All messages that a cell brings, the reply at the end."""
    sent = kernel.client.execute(code, **options)
    return [*kernel.outputs(sent), kernel.reply(sent)]


@pytest.mark.parametrize("name", REPLIES)
def test_replies(subject, sample, name):
    kind, channel, content = REPLIES[name]
    content = dict(content)
    if content.get("code"):
        content["code"] = sample(content["code"])
    if content.get("cursor_pos") == "end":
        content["cursor_pos"] = len(content["code"])
    run(subject, sample("variable"))
    message = subject.client.session.msg(kind, content)
    getattr(subject.client, f"{channel}_channel").send(message)
    sent = message["header"]["msg_id"]
    reply = subject.reply(sent, channel=channel)
    judge([reply], name.split()[0])
    # The parent's header is a copy of the request's; what is answered says so with all it was asked with.
    for field in ["msg_id", "msg_type", "session", "username"]:
        assert reply["parent_header"][field] == message["header"][field]
    if kind == "complete_request":
        found = reply["content"]
        assert 0 <= found["cursor_start"] <= found["cursor_end"] <= len(content["code"])
        types = found["metadata"].get("_jupyter_types_experimental")
        assert types is None or len(types) == len(found["matches"])


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_status(subject, channel):
    """Every request, of whatever channel, is framed by busy and idle."""
    subject.request("kernel_info_request", channel)
    messages = subject.outputs(subject.last)
    judge(messages, "status")
    assert [message["content"] for message in messages] == [{"execution_state": "busy"}, {"execution_state": "idle"}]


@pytest.mark.parametrize("name", CELLS)
def test_cells(subject, sample, name):
    code = CELLS[name]
    messages = run(subject, code if code == "1 + 1" else sample(code))
    judge(messages, "execute_input", "execute_reply", *name.split(" of ")[0].replace(" stdout", "").replace(" stderr", "").replace(" rich", "").split(", "))
    reply = messages[-1]["content"]
    counts = {m["content"]["execution_count"] for m in messages if "execution_count" in m["content"]}
    assert counts == {reply["execution_count"]}
    for error in [m["content"] for m in messages if m["msg_type"] == "error"]:
        assert reply["status"] == "error" and {name: reply[name] for name in ["ename", "evalue", "traceback"]} == {
            name: error[name] for name in ["ename", "evalue", "traceback"]
        }


def test_aborted_reply(subject, sample):
    failed = subject.client.execute(sample("fail late"))
    behind = subject.client.execute(sample("print"))
    judge([*subject.outputs(failed), subject.reply(failed)], "error")
    messages = [*subject.outputs(behind), subject.reply(behind)]
    judge(messages, "execute_reply")
    assert messages[-1]["content"]["status"] in ("aborted", "error")


def test_user_expressions(subject, sample):
    messages = run(subject, sample("number"), user_expressions={"good": "a", "bad": "nosuchname"})
    judge(messages, "execute_reply")
    assert {name: each["status"] for name, each in messages[-1]["content"]["user_expressions"].items()} == {"good": "ok", "bad": "error"}


@pytest.mark.parametrize("source", ["page", "set_next_input"])
def test_payloads(subject, sample, source):
    name, text = sample("local file")
    (Path(subject.cwd) / name).write_text(text)
    code = sample("next input") if source == "set_next_input" else sample("suite")["code_page_something"]
    if not code:
        pytest.skip("no pager is documented")
    messages = run(subject, code)
    judge(messages, "execute_reply")
    assert [payload["source"] for payload in messages[-1]["content"]["payload"]] == [source]


def test_input_request(subject, sample):
    sent = subject.client.execute(sample("ask"), allow_stdin=True)
    asked = subject.client.get_stdin_msg(timeout=15)
    judge([asked], "input_request")
    assert asked["parent_header"]["msg_id"] == sent and asked["content"]["password"] is False
    subject.client.input("text")
    judge([*subject.outputs(sent), subject.reply(sent)], "execute_reply")


def test_comm_messages(subject, sample):
    """comm_msg and comm_close of the kernel, and its list of open comms."""
    run(subject, sample("client's comm"))

    def send(kind, **content):
        message = subject.client.session.msg(kind, content)
        subject.client.shell_channel.send(message)
        return subject.outputs(message["header"]["msg_id"])

    send("comm_open", comm_id="f1", target_name="suite.echo", data={})
    judge(send("comm_msg", comm_id="f1", data={"n": 1}), "comm_msg")
    sent = subject.client.comm_info()
    judge([subject.reply(sent)], "comm_info_reply")
    send("comm_close", comm_id="f1", data={})
    judge(send("comm_open", comm_id="f2", target_name="suite.nowhere", data={}), "comm_close")


def test_welcome(first_message):
    judge([first_message], "iopub_welcome")


def test_headers(subject, sample):
    """Ids are each message's own, the session is the kernel's own and the same in all of them."""
    messages = run(subject, sample("print"))
    headers = [message["header"] for message in messages]
    assert len({header["msg_id"] for header in headers}) == len(headers)
    assert len({header["session"] for header in headers} - {subject.client.session.session}) == 1
    assert len({header["session"] for header in headers}) == 1


@pytest.mark.parametrize("restart", [False, True])
def test_shutdown_reply(own_subject, restart):
    message = own_subject.client.session.msg("shutdown_request", {"restart": restart})
    own_subject.client.control_channel.send(message)
    reply = own_subject.reply(message["header"]["msg_id"], channel="control")
    judge([reply], "shutdown_reply")
    assert reply["content"]["restart"] is restart
