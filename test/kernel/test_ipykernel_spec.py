"""
What ipykernel's own tests ask of ipykernel, in words that hold for a kernel of any language: its tests of the message specification, of the kernel, of
streams, of async cells. kernel/README.md lists those that only Python can have. The names are those of ipykernel's tests where there is one.
"""

import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import psutil
import pytest
from samples import SUBJECT

# Seconds after which something that does not happen has not happened.
SOON = 15


def ask(kernel, kind, channel="shell", **content):
    """Sends a request without waiting; returns its id."""
    message = kernel.client.session.msg(kind, content)
    getattr(kernel.client, f"{channel}_channel").send(message)
    return message["header"]["msg_id"]


def inspect(kernel, code, detail=0):
    return kernel.request("inspect_request", code=code, cursor_pos=len(code), detail_level=detail)


def shown(cell):
    """The text of a cell's value, also from a kernel that prints it: whether it is an execute_result is asked elsewhere."""
    return cell.result if cell.result is not None else cell.stdout.strip()


def ends(is_alive, seconds=SOON):
    end = time.monotonic() + seconds
    while is_alive() and time.monotonic() < end:
        time.sleep(0.05)
    return not is_alive()


# test_message_spec.py: the shell channel


def test_execute(subject, sample):
    cell = subject.run(sample("assign"))
    assert cell.reply["status"] == "ok" and isinstance(cell.reply["execution_count"], int)
    assert cell.types == ["busy", "execute_input", "idle"]


def test_execute_silent(subject, sample):
    first, second = [subject.run(sample("assign"), silent=True) for _ in range(2)]
    assert first.types == second.types == ["busy", "idle"]
    assert first.reply["execution_count"] == second.reply["execution_count"]


def test_execute_error(subject, sample):
    cell = subject.run(sample("throw"))
    assert cell.reply["status"] == "error" and cell.reply["ename"] == sample("error")
    assert cell.error["ename"] == sample("error") and cell.types == ["busy", "execute_input", "error", "idle"]


def test_execute_inc(subject, sample):
    counts = [subject.run(sample("assign")).reply["execution_count"] for _ in range(2)]
    assert counts[1] == counts[0] + 1


def test_execute_stop_on_error(subject, sample):
    failing, fine = sample("fail late"), sample("print")
    replies = [subject.collect(sent).reply["status"] for sent in [subject.client.execute(code) for code in [failing, fine, fine]]]
    assert replies == ["error", "aborted", "aborted"]
    sent = [subject.client.execute(failing, stop_on_error=False), subject.client.execute(fine)]
    assert [subject.collect(each).reply["status"] for each in sent] == ["error", "ok"]


def test_non_execute_stop_on_error(subject, sample):
    failed = subject.client.execute(sample("fail late"))
    sent = [ask(subject, "kernel_info_request"), ask(subject, "comm_info_request"), subject.client.inspect(sample("name"))]
    # An answer need not wait for the cell.
    replies = {}
    while len(replies) < 4:
        message = subject.check(subject.client.get_shell_msg(timeout=20))
        replies[message["parent_header"]["msg_id"]] = message["content"]["status"]
    assert replies.pop(failed) == "error"
    assert [replies[each] for each in sent] == ["ok", "ok", "ok"]


def test_user_expressions(subject, sample):
    found = subject.run(sample("number"), user_expressions={"sum": "a + 1"}).reply["user_expressions"]
    assert found == {"sum": {"status": "ok", "data": {"text/plain": "6"}, "metadata": {}}}


def test_user_expressions_fail(subject, sample):
    found = subject.run(sample("number"), user_expressions={"none": "nosuchname"}).reply["user_expressions"]["none"]
    assert found["status"] == "error" and found["ename"] in ("NameError", "ReferenceError")


def test_oinfo(subject):
    assert inspect(subject, "a")["status"] == "ok"


def test_oinfo_found(subject, sample):
    subject.run(sample("number"))
    found = inspect(subject, "a")
    assert found["found"] and all(part in found["data"]["text/plain"] for part in sample("number is known as"))


def test_oinfo_detail(subject, sample):
    subject.run(sample("function"))
    brief, whole = [inspect(subject, "documented", detail) for detail in [0, 1]]
    assert brief["found"] and whole["found"]
    assert "Says what it does." in brief["data"]["text/plain"] and "12345" in whole["data"]["text/plain"]


def test_oinfo_not_found(subject):
    found = inspect(subject, "does_not_exist")
    assert found["status"] == "ok" and found["found"] is False


def test_complete(subject, sample):
    subject.run(sample("two names"))
    assert {"alpha", "albert"} <= set(subject.request("complete_request", code="al", cursor_pos=2)["matches"])


def test_kernel_info_request(subject):
    found = subject.request("kernel_info_request")
    assert found["status"] == "ok" and isinstance(found["supported_features"], list)


def test_connect_request(subject):
    found, wanted = subject.request("connect_request"), subject.manager.get_connection_info()
    ports = {name for name in wanted if name.endswith("_port")}
    assert {name: found[name] for name in ports} == {name: wanted[name] for name in ports}


def test_comm_info_request(subject):
    assert subject.request("comm_info_request")["comms"] == {}


def test_single_payload(subject, sample):
    name, text = sample("local file")
    (Path(subject.cwd) / name).write_text(text)
    payload = subject.run(sample("next input")).reply["payload"]
    assert [each["source"] for each in payload] == ["set_next_input"]


def test_is_complete_reply(subject, sample):
    assert subject.request("is_complete_request", code=sample("number"))["status"] == "complete"


def test_history_range(subject, sample):
    count = subject.run(sample("assign")).reply["execution_count"]
    found = subject.request("history_request", hist_access_type="range", raw=True, output=True, start=count, stop=count + 1, session=0)
    assert [line[1:] for line in found["history"]] == [[count, [sample("assign"), None]]]


def test_history_tail(subject, sample):
    subject.run(sample("assign"))
    found = subject.request("history_request", hist_access_type="tail", raw=True, output=True, n=1)
    assert [line[2] for line in found["history"]] == [[sample("assign"), None]]


def test_history_search(subject, sample):
    subject.run(sample("assign"))
    found = subject.request("history_request", hist_access_type="search", raw=True, output=True, n=1, pattern="*")
    assert [line[2] for line in found["history"]] == [[sample("assign"), None]]


# test_message_spec.py: iopub


def test_stream(subject, sample):
    cell = subject.run(sample("print"))
    assert cell.all("stream") == [{"name": "stdout", "text": "hello\n"}]


def test_display_data(subject, sample):
    [shown] = subject.run(sample("display a number")).all("display_data")
    assert shown["data"]["text/plain"] == "1"


# test_kernel.py


def test_simple_print(subject, sample):
    cell = subject.run(sample("print"))
    assert cell.stdout == "hello\n" and cell.stderr == ""


@pytest.mark.parametrize("code, status", [("throw", "error"), ("show a caught error", "ok")])
def test_execute_reply_error_status(subject, sample, code, status):
    assert subject.run(sample(code)).reply["status"] == status


def test_a_view_that_fails_is_told(subject, sample):
    """ipykernel fails the cell. A kernel that shows the value in another way must say that its own view has failed, and why."""
    cell = subject.run(sample("throw while shown"))
    told = [shown(cell), *(line for error in cell.all("error") for line in error["traceback"])]
    assert any(sample("view's error") in text for text in told)


@pytest.mark.parametrize("kind", ["task", "timers", "thread"])
def test_print_to_correct_cell(subject, sample, kind):
    """Of what a cell has started, each line goes to that cell, whatever runs meanwhile."""
    first = subject.run(sample(f"late by {kind}"))
    others = [subject.run(sample("pause").format(seconds=0.1)) for _ in range(2)]
    said, end = first.stdout, time.monotonic() + SOON
    assert all(cell.stdout == "" for cell in others)
    for message in subject.late(0.01, ("stream",), [first.id]):
        said += message["content"]["text"]
    while said.count("\n") < 5 and time.monotonic() < end:
        for message in subject.late(0.1, ("stream",)):
            assert message["parent_header"]["msg_id"] == first.id
            said += message["content"]["text"]
    assert said == "0\n1\n2\n3\n4\n"


def test_displays_to_correct_cell(subject, sample):
    first = subject.run(sample("late displays"))
    other = subject.run(sample("pause").format(seconds=0.1))
    shown = first.all("display_data") + [m["content"] for m in subject.late(SOON, ("display_data",), [first.id], 3 - len(first.all("display_data")))]
    assert other.all("display_data") == []
    assert [each["data"]["text/plain"] for each in shown] == ["0", "1", "2"]


def test_capture_fd(subject, sample):
    cell = subject.run(sample("run a child"))
    assert cell.stdout == "from a child\n" and cell.stderr == ""


def test_subprocess_peek_at_stream_fileno(subject, sample):
    cell = subject.run(sample("run a child of two writers"))
    assert cell.stdout == "one\ntwo\n" and cell.stderr == ""


def test_sys_path(subject, sample):
    """Modules beside the notebook are found."""
    name, text = sample("local file")
    (Path(subject.cwd) / name).write_text(text)
    assert shown(subject.run(sample("import local file"))) == "42"


def test_subprocess_print(subject, sample):
    cell = subject.run(sample("five children"))
    # Each writes in its own time, Python in more than one piece.
    assert cell.stdout.count("hello") == 5 and all(cell.stdout.count(str(i)) == 1 for i in range(5)) and cell.stderr == ""


def test_subprocess_noprint(subject, sample):
    cell = subject.run(sample("five silent children"))
    assert cell.reply["status"] == "ok" and cell.stdout == cell.stderr == ""


def test_subprocess_error(subject, sample):
    cell = subject.run(sample("child that fails"))
    assert cell.reply["status"] == "ok" and cell.stdout == "" and sample("child's error") in cell.stderr
    assert subject.run(sample("print")).stdout == "hello\n"


def test_raw_input(subject, sample):
    prompts = []

    def answer(asked):
        prompts.append(asked["prompt"])
        return "some text"

    cell = subject.run(sample("ask"), answers=[answer])
    assert cell.reply["status"] == "ok" and prompts == ["Enter: "] and cell.stdout == "some text\n"


def test_save_history(subject, sample):
    """What is not ASCII comes back from the history as it was."""
    codes = [sample("assign"), sample("assign text")]
    for code in codes:
        subject.run(code)
    found = subject.request("history_request", hist_access_type="tail", n=2, output=False, raw=True)
    assert [line[2] for line in found["history"]] == codes


@pytest.mark.parametrize("code, status", [("number", "complete"), ("invalid", "invalid"), ("open list", "incomplete"), ("cell magic", "complete")])
def test_is_complete(subject, sample, code, status):
    found = subject.request("is_complete_request", code=sample(code))
    assert found["status"] == status
    assert ("indent" in found) == (status == "incomplete")


def test_complete_applied(subject, sample):
    """With any of the matches the cell begins as it did."""
    subject.run(sample("number"))
    cell = "a\nb = a."
    found = subject.request("complete_request", code=cell, cursor_pos=len(cell))
    assert found["status"] == "ok" and found["matches"] and found["cursor_end"] == len(cell)
    assert all((cell[: found["cursor_start"]] + match).startswith(cell) for match in found["matches"])


def test_message_order(subject, sample):
    offset = subject.run(sample("counter")).reply["execution_count"] + 1
    sent = [subject.client.execute(sample("count")) for _ in range(100)]
    for i, each in enumerate(sent):
        message = subject.check(subject.client.get_shell_msg(timeout=20))
        assert message["parent_header"]["msg_id"] == each
        assert message["content"]["status"] == "ok" and message["content"]["execution_count"] == offset + i
        said = [m["content"]["text"] for m in subject.outputs(each) if m["msg_type"] == "stream"]
        assert "".join(said) == f"{i + 1}\n"


def test_shutdown(own_subject, sample):
    own_subject.run(sample("assign"))
    own_subject.client.shutdown()
    assert ends(own_subject.manager.is_alive, 30)


@pytest.mark.parametrize("press", ["as the kernelspec says", "by message"])
def test_interrupt_during_input(subject, sample, press):
    sent = subject.client.execute(sample("ask"), allow_stdin=True)
    assert subject.client.get_stdin_msg(timeout=SOON)["msg_type"] == "input_request"
    if press == "by message":
        subject.interrupt()
    else:
        subject.manager.interrupt_kernel()
    assert subject.collect(sent).reply["status"] == "error"
    assert subject.run(sample("print")).stdout == "hello\n"


def test_interrupt_a_loop(subject, sample):
    sent = subject.client.execute(sample("hang in a loop"))
    while subject.client.get_iopub_msg(timeout=SOON)["msg_type"] != "execute_input":
        pass
    time.sleep(0.3)
    subject.manager.interrupt_kernel()
    assert subject.collect(sent).reply["status"] == "error"
    assert subject.run(sample("print")).stdout == "hello\n"


def moment(message):
    date = message["header"]["date"]
    return date if isinstance(date, datetime) else datetime.fromisoformat(date.replace("Z", "+00:00"))


def test_control_thread_priority(subject, sample):
    """Control is answered before what waits on the shell channel."""
    first = subject.client.execute(sample("pause").format(seconds=1))
    waiting = [subject.client.execute(sample("assign")) for _ in range(5)]
    time.sleep(0.3)
    asked = [ask(subject, "kernel_info_request", "control") for _ in range(5)]
    controls = [subject.reply(each, channel="control") for each in asked]
    shells = [subject.reply(each) for each in [first, *waiting]]
    assert moment(controls[-1]) <= moment(shells[1])


def test_sequential_control_messages(subject):
    """Control requests are handled one after the other: replies come in order, and no two are busy at once."""
    kinds = ["kernel_info_request", "kernel_info_request", "interrupt_request", "kernel_info_request"]
    asked = [ask(subject, kind, "control") for kind in kinds]
    assert [subject.client.get_control_msg(timeout=SOON)["parent_header"]["msg_id"] for _ in asked] == asked
    states = []
    while len(states) < 2 * len(asked):
        message = subject.check(subject.client.get_iopub_msg(timeout=SOON))
        if message["msg_type"] == "status" and message["parent_header"]["msg_id"] in asked:
            states.append((message["parent_header"]["msg_id"], message["content"]["execution_state"]))
    assert states == [(each, state) for each in asked for state in ["busy", "idle"]]


def test_shutdown_subprocesses(own_subject, sample):
    """What cells have started ends with the kernel."""
    child = psutil.Process(int(shown(own_subject.run(sample("child that stays")))))
    own_subject.client.shutdown()
    assert ends(own_subject.manager.is_alive, 30)
    try:
        assert ends(lambda: child.is_running() and child.status() != psutil.STATUS_ZOMBIE)
    finally:
        if child.is_running():
            child.kill()


def test_context_vars(subject, sample):
    """What a cell has started keeps the context that it was started in."""
    subject.run(sample("context declared"))
    assert subject.run(sample("context used")).stdout == "set\n"


# test_io.py


def test_io_isatty(subject, sample):
    assert shown(subject.run(sample("stdout is no terminal"))) == sample("false")


def test_outstream(subject, sample):
    assert subject.run(sample("write in pieces")).stdout == "hiabcd"


def test_echo_watch(subject, sample):
    """Text arrives once, whether it is printed, written to the stream, or to the descriptor below it."""
    cell = subject.run(sample("write at three levels"))
    assert sorted(cell.stdout.split()) == ["descriptor", "original", "printed"]


# test_async.py


def test_async_await(subject, sample):
    assert subject.run(sample("pause").format(seconds=0.1)).reply["status"] == "ok"


def test_async_interrupt(subject, sample):
    """The cell ends because of the interrupt, long before its pause of 30 s does. ipykernel's own test also takes the end of a pause of 5 s."""
    sent = subject.client.execute(sample("hang in a promise"))
    kinds = []
    while "stream" not in kinds:
        message = subject.check(subject.client.get_iopub_msg(timeout=SOON))
        if message["parent_header"].get("msg_id") == sent:
            kinds.append(message["content"].get("execution_state", message["msg_type"]))
    assert kinds == ["busy", "execute_input", "stream"]
    # The import behind the print may take a while.
    time.sleep(0.5)
    subject.manager.interrupt_kernel()
    reply = subject.collect(sent).reply
    assert reply["status"] == "error" and reply["ename"] in ("CancelledError", "KeyboardInterrupt")


# test_start_kernel.py, test_parentpoller.py


def test_start_kernel(own_subject, sample):
    """A fresh kernel says that it starts, counts from one, and knows what its first cell has declared."""
    assert own_subject.run(sample("number")).reply["execution_count"] == 1
    assert inspect(own_subject, "a")["found"]


def test_parent_poller(start_subject, limit, subjects_folder, tmp_path):
    """A kernel whose server was killed ends by itself."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(subjects_folder), SUBJECT], stdout=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
    )
    kernel = None
    try:
        kernel = psutil.Process(int(server.stdout.readline()))
        server.send_signal(signal.SIGKILL)
        server.wait()
        assert ends(kernel.is_running)
    finally:
        server.kill()
        if kernel is not None and kernel.is_running():
            kernel.kill()


SERVER = """
import sys
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager
specs = KernelSpecManager(kernel_dirs=[sys.argv[1]], ensure_native_kernel=False)
manager = KernelManager(kernel_name=sys.argv[2], kernel_spec_manager=specs)
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=30)
print(manager.provisioner.pid, flush=True)
import time; time.sleep(120)
"""


# test_comm.py


def send_comm(kernel, kind, **content):
    message = kernel.client.session.msg(kind, content)
    kernel.client.shell_channel.send(message)
    return kernel.outputs(message["header"]["msg_id"])


def test_comm_of_the_kernel(subject, sample):
    cell = subject.run(sample("kernel's comm"))
    [opened] = cell.all("comm_open")
    assert opened["target_name"] == "suite.target" and opened["data"] == {"a": 1}
    answers = [m["content"] for m in send_comm(subject, "comm_msg", comm_id=opened["comm_id"], data={"n": 21}) if m["msg_type"] == "comm_msg"]
    assert answers == [{"comm_id": opened["comm_id"], "data": {"twice": 42}}]
    send_comm(subject, "comm_close", comm_id=opened["comm_id"], data={})


def test_comm_of_the_client(subject, sample):
    subject.run(sample("client's comm"))
    send_comm(subject, "comm_open", comm_id="c1", target_name="suite.echo", data={})
    assert subject.request("comm_info_request", target_name="suite.echo")["comms"] == {"c1": {"target_name": "suite.echo"}}
    answers = [m["content"]["data"] for m in send_comm(subject, "comm_msg", comm_id="c1", data={"n": 4}) if m["msg_type"] == "comm_msg"]
    assert answers == [{"twice": 8}]
    send_comm(subject, "comm_close", comm_id="c1", data={})
    assert subject.request("comm_info_request", target_name="suite.echo")["comms"] == {}


def test_unknown_comm_is_closed(subject):
    kinds = [m["msg_type"] for m in send_comm(subject, "comm_open", comm_id="c2", target_name="suite.nowhere", data={})]
    assert "comm_close" in kinds


# test_kernel_direct.py, test_ipkernel_direct.py: what is not above


def test_debug_request(subject):
    found = subject.request("debug_request", "control", type="request", seq=1, command="debugInfo")
    assert found["success"] and found["body"]["isStarted"] is False


def test_usage_request(subject):
    found = subject.request("usage_request", "control")
    assert found["kernel_memory"] > 2**20 and os.path.exists(f"/proc/{found['pid']}")
