"""The protocol, message by message: what ipykernel's own tests ask of a kernel, and what a hostile client tries."""

import hashlib
import hmac
import json
import time
import uuid
from datetime import datetime, timedelta, timezone

import pytest
import zmq
from client import check
from jupyter_client.session import Session


def test_execute(kernel):
    cell = kernel.run("let x = 1")
    assert cell.reply["status"] == "ok" and cell.result is None
    assert cell.types == ["busy", "execute_input", "idle"]
    assert cell.all("execute_input") == [{"code": "let x = 1", "execution_count": cell.reply["execution_count"]}]
    assert cell.reply["payload"] == [] and cell.reply["user_expressions"] == {}
    started = datetime.fromisoformat(cell.reply_metadata["started"].replace("Z", "+00:00"))
    assert abs(datetime.now(timezone.utc) - started) < timedelta(minutes=1)


def test_every_message_belongs_to_its_request_and_comes_in_order(kernel):
    code = 'console.log("out"); console.error("err"); display(1); clearOutput(); 2'
    cell = kernel.run(code)
    assert cell.types == ["busy", "execute_input", "stream", "stream", "display_data", "clear_output", "execute_result", "idle"]
    for message in cell.messages:
        header, parent = message["header"], message["parent_header"]
        assert (parent["msg_id"], parent["msg_type"], parent["session"]) == (cell.id, "execute_request", kernel.client.session.session)
        assert header["session"] != parent["session"] and isinstance(header["date"], datetime)
    assert len({m["header"]["session"] for m in cell.messages}) == 1
    assert len({m["header"]["msg_id"] for m in cell.messages}) == len(cell.messages)


def test_silent(kernel):
    count = kernel.run("1").reply["execution_count"]
    for code in ["", "let quiet = 5; quiet"]:
        cell = kernel.run(code, silent=True)
        assert cell.types == ["busy", "idle"] and cell.reply["execution_count"] == count
    assert kernel.run("quiet").reply["execution_count"] == count + 1
    cell = kernel.run("throw new Error('quiet')", silent=True)
    assert cell.types == ["busy", "idle"] and cell.reply["evalue"] == "quiet"


def test_an_empty_cell_is_not_counted(kernel):
    count = kernel.run("1").reply["execution_count"]
    assert kernel.run("  \n").reply == {
        "status": "ok",
        "execution_count": count,
        "payload": [],
        "user_expressions": {},
    }


def test_the_count_goes_up_by_one_also_after_errors(kernel):
    counts = [kernel.run(code).reply["execution_count"] for code in ["1", "throw 1", "let t: number = ''", "// nothing", "2"]]
    assert counts == list(range(counts[0], counts[0] + 5))


def test_without_history(kernel):
    count = kernel.run("1").reply["execution_count"]
    cell = kernel.run("let secret = 7; secret", store_history=False)
    assert cell.result == "7" and cell.reply["execution_count"] == count
    assert kernel.run("secret").reply["execution_count"] == count + 1
    assert "let secret" not in json.dumps(kernel.request("history_request", hist_access_type="tail", n=3, output=False, raw=True))


def test_error(kernel):
    cell = kernel.run("throw new TypeError('wrong')")
    assert cell.types == ["busy", "execute_input", "error", "idle"]
    assert cell.reply["status"] == "error" and cell.error["ename"] == "TypeError" and cell.error["evalue"] == "wrong"


# A cell that fails only when the cells sent behind it have certainly arrived.
LATE_FAILURE = "await new Promise((r) => setTimeout(r, 400)); throw new Error('stop')"


def test_what_waits_behind_a_failed_cell_is_aborted(kernel):
    failed = kernel.client.execute(LATE_FAILURE)
    behind = [kernel.client.execute("console.log('not run')") for _ in range(2)]
    asked = kernel.client.kernel_info()
    assert kernel.collect(failed).reply["status"] == "error"
    for sent in behind:
        cell = kernel.collect(sent)
        assert cell.reply["status"] == "aborted" and cell.types == ["busy", "idle"]
        assert isinstance(cell.reply["execution_count"], int)
    assert kernel.reply(asked)["content"]["status"] == "ok"
    assert kernel.run("'runs'").result == "'runs'"


def test_what_is_sent_after_a_failure_runs(kernel):
    """Also when it is sent as soon as anything tells of the failure."""
    for i in range(30):
        failed = kernel.client.execute("throw 1")
        while check(kernel.client.get_iopub_msg(timeout=20))["msg_type"] != "error":
            pass
        sent = kernel.client.execute(f"{i}")
        assert kernel.reply(failed)["content"]["status"] == "error"
        assert kernel.collect(sent).result == str(i)


def test_nothing_is_aborted_when_the_client_says_so(kernel):
    failed = kernel.client.execute(LATE_FAILURE, stop_on_error=False)
    behind = kernel.client.execute("'runs'")
    assert kernel.collect(failed).reply["status"] == "error"
    assert kernel.collect(behind).result == "'runs'"


def test_a_type_error_aborts_too(kernel):
    first = kernel.client.execute("await new Promise((r) => setTimeout(r, 400))")
    failed = kernel.client.execute("const wrong: number = ''")
    behind = kernel.client.execute("1")
    assert kernel.collect(first).reply["status"] == "ok"
    assert kernel.collect(failed).reply["ename"] == "TS2322"
    assert kernel.collect(behind).reply["status"] == "aborted"


def test_user_expressions(kernel):
    cell = kernel.run("let a = 1", user_expressions={"sum": "a + 1", "page": "({ toHTML: () => '<b>x</b>' })", "none": "undefined"})
    found = cell.reply["user_expressions"]
    assert found["sum"] == {"status": "ok", "data": {"text/plain": "2"}, "metadata": {}}
    assert found["page"]["data"]["text/html"] == "<b>x</b>"
    assert found["none"]["data"] == {"text/plain": "undefined"}
    assert cell.types == ["busy", "execute_input", "idle"]


def test_failing_user_expressions(kernel):
    found = kernel.run("", user_expressions={"bad": "nowhere.at.all", "syntax": "1 +", "good": "1"}).reply["user_expressions"]
    assert found["good"]["status"] == "ok"
    assert found["bad"]["status"] == "error" and found["bad"]["ename"] == "ReferenceError" and found["bad"]["traceback"]
    assert found["syntax"]["ename"] == "SyntaxError"
    cell = kernel.run("throw new Error('first')", user_expressions={"never": "1"})
    assert cell.reply["user_expressions"] == {}


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_kernel_info(kernel, channel):
    info = kernel.request("kernel_info_request", channel)
    assert info["status"] == "ok" and info["implementation"] == "whetstone" and info["protocol_version"] == "5.4"
    language = info["language_info"]
    assert language["name"] == "typescript" and language["file_extension"] == ".ts" and language["version"] == "6.0.3"
    assert {"mimetype", "codemirror_mode", "pygments_lexer", "nbconvert_exporter"} <= language.keys()
    assert info["supported_features"] == ["iopub_welcome"]
    assert all(set(link) == {"text", "url"} for link in info["help_links"])
    kinds = [m["content"].get("execution_state") for m in kernel.outputs(kernel.last)]
    assert kinds == ["busy", "idle"]


def test_connect(kernel):
    reply = kernel.request("connect_request")
    wanted = kernel.manager.get_connection_info()
    assert {name: reply[name] for name in wanted if name.endswith("_port")} == {
        name: wanted[name] for name in wanted if name.endswith("_port")
    }
    assert "key" not in reply


def test_comms(kernel):
    assert kernel.request("comm_info_request")["comms"] == {}
    assert kernel.request("comm_info_request", target_name="jupyter.widget")["comms"] == {}
    message = kernel.client.session.msg("comm_open", {"comm_id": "c1", "target_name": "unknown", "data": {}})
    kernel.client.shell_channel.send(message)
    closed = [m for m in kernel.outputs(message["header"]["msg_id"]) if m["msg_type"] == "comm_close"]
    assert [m["content"] for m in closed] == [{"comm_id": "c1", "data": {}}]


def history(kernel, **query):
    query = {"output": False, "raw": True, **query}
    return kernel.request("history_request", **query)["history"]


def test_history(kernel):
    start = kernel.run("let h = 'one'; h").reply["execution_count"]
    kernel.run("h = 'two'; console.log(h)")
    kernel.run("let h = 'one'; h")
    lines = ["let h = 'one'; h", "h = 'two'; console.log(h)", "let h = 'one'; h"]
    entries = [[1, start + i, line] for i, line in enumerate(lines)]
    assert history(kernel, hist_access_type="tail", n=3) == entries
    assert history(kernel, hist_access_type="tail", n=0) == []
    assert history(kernel, hist_access_type="tail", n=2, output=True) == [
        [1, start + 1, [lines[1], None]],
        [1, start + 2, [lines[2], "'one'"]],
    ]
    for session in [0, 1]:
        assert history(kernel, hist_access_type="range", session=session, start=start, stop=start + 2) == entries[:2]
    assert history(kernel, hist_access_type="range", session=0, start=start) == entries
    assert history(kernel, hist_access_type="range", session=0, start=start, stop=None) == entries
    assert history(kernel, hist_access_type="range", session=-1, start=1, stop=9) == []
    assert history(kernel, hist_access_type="search", pattern="h = 'two'*") == entries[1:2]
    assert history(kernel, hist_access_type="search", pattern="let ? = 'one'; h") == [entries[0], entries[2]]
    assert history(kernel, hist_access_type="search", pattern="let ? = 'one'; h", unique=True) == entries[2:]
    assert history(kernel, hist_access_type="search", pattern="*h*", n=1) == entries[2:]
    assert history(kernel, hist_access_type="search", pattern="*[nothing*") == []


def test_is_complete(kernel):
    ask = lambda code: kernel.request("is_complete_request", code=code)
    assert ask("1 + 1")["status"] == "complete"
    assert ask("for (const a of [1]) {")["status"] == "incomplete" and "indent" in ask("for (const a of [1]) {")
    assert ask("let = 7q")["status"] == "invalid"


def test_complete_and_inspect(kernel):
    kernel.run("const width = 3;\n/** Half of it. */\nfunction half(n: number) { return n / 2 }")
    found = kernel.request("complete_request", code="😀; wid", cursor_pos=6)
    assert "width" in found["matches"] and (found["cursor_start"], found["cursor_end"]) == (3, 6)
    types = found["metadata"]["_jupyter_types_experimental"]
    assert len(types) == len(found["matches"])
    known = kernel.request("inspect_request", code="half(1)", cursor_pos=2, detail_level=0)
    assert known["found"] and "Half of it." in known["data"]["text/plain"] and "text/markdown" in known["data"]
    assert kernel.request("inspect_request", code="nothing_like_it", cursor_pos=3, detail_level=0)["found"] is False


def test_one_payload_of_the_pager(kernel):
    cell = kernel.run("parseInt?")
    [payload] = cell.reply["payload"]
    assert payload["source"] == "page" and "parseInt" in payload["data"]["text/plain"]
    # An inspect that has just been answered may say once more that the kernel is busy.
    assert [kind for kind in cell.types if kind != "busy"] == ["execute_input", "idle"]


def test_unknown_messages(kernel):
    for channel in ["shell", "control"]:
        reply = kernel.request("create_subshell_request", channel)
        assert reply["status"] == "error" and "create_subshell_request" in reply["evalue"]
    # Names that JavaScript's objects have of themselves.
    assert kernel.request("constructor_request")["status"] == "error"
    message = kernel.client.session.msg("toString", {})
    kernel.client.shell_channel.send(message)
    assert [m["msg_type"] for m in kernel.outputs(message["header"]["msg_id"])] == ["status", "status"]


def test_requests_without_their_fields(kernel):
    for kind in ["complete_request", "inspect_request", "is_complete_request", "history_request", "execute_request"]:
        assert kernel.request(kind)["status"] in ("ok", "error", "complete", "incomplete")
    assert kernel.request("execute_request", code=None)["status"] == "ok"
    assert kernel.request("execute_request", code=12)["status"] == "ok"
    assert kernel.request("complete_request", code="wid", cursor_pos=10_000)["status"] == "ok"
    assert kernel.request("complete_request", code="wid", cursor_pos=-5)["status"] == "ok"
    assert kernel.request("history_request", hist_access_type="tail", n="x")["status"] in ("ok", "error")
    assert kernel.run("1").result == "1"


def test_a_hundred_queued_cells(kernel):
    kernel.run("let order: number[] = []")
    sent = [kernel.client.execute(f"order.push({i}); await new Promise((r) => setTimeout(r, {i % 3})); console.log({i}); order.length") for i in range(100)]
    counts = []
    for i, each in enumerate(sent):
        cell = kernel.collect(each, timeout=60)
        assert cell.stdout == f"{i}\n" and cell.result == str(i + 1)
        assert cell.types[:2] == ["busy", "execute_input"] and cell.types[-1] == "idle"
        counts.append(cell.reply["execution_count"])
    assert counts == list(range(counts[0], counts[0] + 100))


class Wire:
    """A client without a library: it can send what a library would not."""

    def __init__(self, kernel, port="shell_port"):
        info = kernel.manager.get_connection_info()
        self.key = info["key"]
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(f"tcp://{info['ip']}:{info[port]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    @staticmethod
    def header(kind="kernel_info_request"):
        return {"msg_id": str(uuid.uuid4()), "msg_type": kind, "session": "wire", "username": "u", "date": "2026-01-01T00:00:00Z", "version": "5.4"}

    def sign(self, parts):
        return hmac.new(self.key, b"".join(parts), hashlib.sha256).hexdigest().encode()

    def send(self, header, parent=b"{}", metadata=b"{}", content=b"{}", signature=None, buffers=()):
        parts = [header if isinstance(header, bytes) else json.dumps(header).encode(), parent, metadata, content]
        self.socket.send_multipart([b"<IDS|MSG>", signature or self.sign(parts), *parts, *buffers])

    def answer(self, seconds):
        """The next reply's parent id and content, None when none comes."""
        if not self.socket.poll(seconds * 1000):
            return None
        frames = self.socket.recv_multipart()
        at = frames.index(b"<IDS|MSG>")
        assert frames[at + 1] == self.sign(frames[at + 2 : at + 6]), "the kernel's own signature"
        return json.loads(frames[at + 3])["msg_id"], json.loads(frames[at + 5])


def test_messages_that_are_none_are_dropped_and_the_kernel_goes_on(kernel):
    with Wire(kernel) as wire:
        good = lambda: Wire.header("execute_request")
        run = json.dumps({"code": "globalThis.hacked = true"}).encode()
        wire.send(good(), content=run, signature=b"0" * 64)
        wire.send(good(), content=run, signature=b"short")
        wire.send(b"{not json", content=run)
        wire.send(good(), content=b"\xff\xfe")
        wire.send(good(), content=b"[]")
        wire.send(good(), content=b"null")
        wire.send({"msg_type": "execute_request"}, content=run)
        wire.send({**good(), "msg_type": 5}, content=run)
        for frames in [[b""], [b"<IDS|MSG>"], [b"no", b"delimiter"], [b"<IDS|MSG>", b"", b"{}"]]:
            wire.socket.send_multipart(frames)
        wire.send(last := Wire.header())
        assert wire.answer(20)[0] == last["msg_id"], "the first answer is that to the only message that is one"
    assert kernel.run("typeof (globalThis as any).hacked").result == "'undefined'"


def test_unknown_fields_and_buffers_are_taken(kernel):
    with Wire(kernel) as wire:
        header = {**Wire.header("execute_request"), "subshell_id": None, "future": 1}
        content = json.dumps({"code": "1", "cellId": "c", "unknown": {}}).encode()
        wire.send(header, metadata=b'{"cellId": "c"}', content=content, buffers=[bytes(64 * 2**20)])
        assert wire.answer(30)[1]["status"] == "ok"


def test_replies_go_to_the_client_that_asked(kernel):
    with Wire(kernel) as one, Wire(kernel) as two:
        asked = {}
        for wire, code in [(one, "1"), (two, "throw 2"), (one, "3")]:
            header = Wire.header("execute_request")
            asked.setdefault(wire, []).append(header["msg_id"])
            wire.send(header, content=json.dumps({"code": code, "stop_on_error": False}).encode())
        assert [one.answer(20)[0], one.answer(20)[0]] == asked[one]
        assert two.answer(20)[0] == asked[two][0]
        assert one.answer(0.2) is None and two.answer(0.05) is None


def test_heartbeat_and_control_while_a_cell_runs(kernel):
    info = kernel.manager.get_connection_info()
    sent = kernel.client.execute("const end = Date.now() + 1500; while (Date.now() < end);")
    beat = zmq.Context.instance().socket(zmq.REQ)
    beat.linger = 0
    beat.connect(f"tcp://{info['ip']}:{info['hb_port']}")
    time.sleep(0.3)
    for i in range(5):
        beat.send(b"beat %d" % i)
        assert beat.poll(5000), "no heartbeat"
        assert beat.recv() == b"beat %d" % i
        assert kernel.request("kernel_info_request", "control")["status"] == "ok"
    beat.close()
    before = time.monotonic()
    cell = kernel.collect(sent)
    assert cell.reply["status"] == "ok"
    # The answers came before the cell's end: a message says so, whatever the clock says.
    assert time.monotonic() - before > 0.05 or cell.types[-1] == "idle"


def subscriber(kernel):
    """A socket that has subscribed to everything and been greeted, the greeting not read yet."""
    info = kernel.manager.get_connection_info()
    listener = zmq.Context.instance().socket(zmq.SUB)
    listener.linger = 0
    listener.connect(f"tcp://{info['ip']}:{info['iopub_port']}")
    listener.subscribe(b"")
    assert listener.poll(10_000)
    return listener


def test_a_client_that_subscribes_is_greeted_first(kernel):
    listener = subscriber(kernel)
    info = kernel.manager.get_connection_info()
    session = Session(key=info["key"], signature_scheme=info["signature_scheme"])
    message = check(session.deserialize(session.feed_identities(listener.recv_multipart())[1]))
    assert message["msg_type"] == "iopub_welcome" and message["content"] == {"subscription": ""} and message["parent_header"] == {}
    listener.close()
    kernel.late(0.2)


def test_a_fresh_kernel_says_that_it_starts(kernels_folder, tmp_path):
    from client import Kernel

    own = Kernel(kernels_folder, tmp_path)
    try:
        own.manager.start_kernel(cwd=str(tmp_path))
        own.client = own.manager.client()
        own.client.start_channels()
        first = [check(own.client.get_iopub_msg(timeout=30)) for _ in range(2)]
        assert [m["msg_type"] for m in first] == ["iopub_welcome", "status"]
        assert first[1]["content"]["execution_state"] == "starting"
        own.client.wait_for_ready(timeout=60)
        assert own.run("1").reply["execution_count"] == 1
    finally:
        own.__exit__()
