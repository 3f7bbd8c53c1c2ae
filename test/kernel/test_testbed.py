"""The 27 behaviours that kernel-testbed (github.com/runtimed/kernel-testbed) asks of every kernel, over jupyter_client. Half a point there is none here."""

import time

import zmq

ALIVE = 30


def statuses(cell):
    return [content["execution_state"] for content in cell.all("status")]


# Tier 1: the basic protocol


def test_heartbeat_responds(subject):
    info = subject.manager.get_connection_info()
    beat = zmq.Context.instance().socket(zmq.REQ)
    beat.linger = 0
    beat.connect(f"tcp://{info['ip']}:{info['hb_port']}")
    try:
        beat.send(b"ping")
        assert beat.poll(10_000), "no echo"
        assert beat.recv() == b"ping"
    finally:
        beat.close()


def test_iopub_welcome(first_message):
    assert first_message["msg_type"] == "iopub_welcome"


def test_kernel_info_reply_valid(subject):
    assert subject.request("kernel_info_request")["status"] == "ok"


def test_kernel_info_has_language_info(subject):
    assert subject.request("kernel_info_request")["language_info"]["name"]


def test_kernel_info_has_protocol_version(subject):
    assert subject.request("kernel_info_request")["protocol_version"]


def test_execute_stdout(subject, sample):
    assert "hello" in subject.run(sample("print")).stdout


def test_execute_stderr(subject, sample):
    assert "error" in subject.run(sample("print to stderr")).stderr


def test_execute_reply_ok(subject, sample):
    assert subject.run(sample("assign")).reply["status"] == "ok"


def test_status_busy_idle_lifecycle(subject, sample):
    states = statuses(subject.run(sample("assign")))
    assert states.index("busy") < states.index("idle")


def test_execute_input_broadcast(subject, sample):
    [echo] = subject.run(sample("assign")).all("execute_input")
    assert echo["code"] == sample("assign")


# Tier 2: what an editor asks


def test_complete_request(subject, sample):
    subject.run(sample("variable"))
    prefix = sample("prefix")
    found = subject.request("complete_request", code=prefix, cursor_pos=len(prefix))
    assert found["status"] == "ok" and sample("name") in found["matches"]


def test_inspect_request(subject, sample):
    subject.run(sample("variable"))
    name = sample("name")
    assert subject.request("inspect_request", code=name, cursor_pos=len(name), detail_level=0)["status"] == "ok"


def test_is_complete_complete(subject, sample):
    assert subject.request("is_complete_request", code=sample("assign"))["status"] == "complete"


def test_is_complete_incomplete(subject, sample):
    assert subject.request("is_complete_request", code=sample("incomplete"))["status"] == "incomplete"


def test_history_request(subject, sample):
    subject.run(sample("assign"))
    found = subject.request("history_request", hist_access_type="tail", n=10, output=False, raw=True)
    assert found["status"] == "ok" and isinstance(found["history"], list)


def test_comm_info_request(subject):
    found = subject.request("comm_info_request")
    assert found["status"] == "ok" and isinstance(found["comms"], dict)


def test_error_handling(subject, sample):
    cell = subject.run(sample("syntax error"))
    assert cell.reply["status"] == "error" or cell.all("error")


# Tier 3: rich output


def test_display_data(subject, sample):
    assert subject.run(sample("display")).all("display_data")


def test_update_display_data(subject, sample):
    cell = subject.run(sample("update"))
    [first, *_] = cell.all("display_data")
    [update, *_] = cell.all("update_display_data")
    assert first["transient"]["display_id"] == update["transient"]["display_id"]


def test_execute_result(subject):
    [found] = subject.run("1 + 1").all("execute_result")
    assert "2" in found["data"]["text/plain"]


def test_rich_execute_result(subject, sample):
    [found] = subject.run(sample("rich value")).all("execute_result")
    assert found["data"]["text/html"] == "<b>bold</b>"


# Tier 4: the rest


def test_stdin_input_request(subject, sample):
    prompts = []

    def answer(asked):
        prompts.append(asked["prompt"])
        return "test_input_42"

    cell = subject.run(sample("ask"), answers=[answer])
    assert cell.reply["status"] == "ok" and prompts == ["Enter: "]


def test_comms_lifecycle(subject, sample):
    """A comm of an unknown target is closed or left alone, and the kernel goes on."""
    session, channel = subject.client.session, subject.client.shell_channel
    channel.send(session.msg("comm_open", {"comm_id": "suite", "target_name": "suite.unknown", "data": {}}))
    channel.send(session.msg("comm_close", {"comm_id": "suite", "data": {}}))
    assert subject.run(sample("assign")).reply["status"] == "ok"


def test_interrupt_request(subject, sample):
    assert subject.request("interrupt_request", "control")["status"] == "ok"
    # Ours and others repeat an interrupt until the cell ends; with none there is nothing that the next one could suffer from.
    assert subject.run(sample("assign")).reply["status"] == "ok"


def test_execution_count_increments(subject, sample):
    counts = [subject.run(sample("assign")).reply["execution_count"] for _ in range(2)]
    assert counts[1] > counts[0]


def test_parent_header_correlation(subject, sample):
    sent = subject.client.execute(sample("print"))
    reply = subject.client.get_shell_msg(timeout=20)
    assert reply["parent_header"]["msg_id"] == sent
    while True:
        message = subject.client.get_iopub_msg(timeout=20)
        assert message["parent_header"], f"{message['msg_type']} has no parent"
        if message["content"].get("execution_state") == "idle" and message["parent_header"]["msg_id"] == sent:
            break


def test_shutdown_reply(own_subject):
    assert own_subject.request("shutdown_request", "control", restart=False)["status"] == "ok"
    end = time.monotonic() + ALIVE
    while own_subject.manager.is_alive() and time.monotonic() < end:
        time.sleep(0.05)
    assert not own_subject.manager.is_alive()
