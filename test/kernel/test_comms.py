"""Comms: both ways, with buffers, also while a cell runs, and what becomes of them when a handler or the process fails."""

import time

import pytest
from client import check


def send(kernel, kind, buffers=None, **content):
    """Sends a comm message; returns its id."""
    message = kernel.client.session.msg(kind, content, metadata={"m": 1})
    kernel.client.session.send(kernel.client.shell_channel.socket, message, buffers=buffers)
    return message["header"]["msg_id"]


def answer(kernel, kind, **content):
    """What the kernel says to a comm message, without its busy and idle."""
    messages = kernel.outputs(send(kernel, kind, **content))
    assert [messages[i]["content"]["execution_state"] for i in (0, -1)] == ["busy", "idle"]
    return messages[1:-1]


def echo(kernel, target, comm_id):
    """Opens a comm to a target of the kernel that sends back what it gets, doubled."""
    kernel.run(
        f"""comms.register("{target}", (comm, opened) => {{
          comm.send({{ opened: opened.data, metadata: opened.metadata }});
          comm.onMessage(({{ data, buffers }}) => {{
            const [bytes] = buffers;
            comm.send({{ twice: data.n * 2 }}, {{ metadata: {{ sizes: buffers.map((b) => b.length) }}, buffers: bytes ? [bytes.map((b) => b * 2), new Float32Array(bytes.buffer)] : [] }});
          }});
          comm.onClose(({{ data }}) => console.log("closed", data.why));
        }})"""
    )
    return answer(kernel, "comm_open", comm_id=comm_id, target_name=target, data={"a": 1})


def test_a_client_opens_a_comm(kernel):
    [opened] = echo(kernel, "echo", "c1")
    assert opened["msg_type"] == "comm_msg" and opened["content"] == {"comm_id": "c1", "data": {"opened": {"a": 1}, "metadata": {"m": 1}}}
    assert kernel.request("comm_info_request")["comms"]["c1"] == {"target_name": "echo"}
    [reply] = answer(kernel, "comm_msg", comm_id="c1", data={"n": 21})
    assert reply["content"]["data"] == {"twice": 42} and reply["buffers"] == []
    [said] = answer(kernel, "comm_close", comm_id="c1", data={"why": "enough"})
    assert said["content"] == {"name": "stdout", "text": "closed enough\n"}
    assert "c1" not in kernel.request("comm_info_request")["comms"]
    assert answer(kernel, "comm_msg", comm_id="c1", data={}) == []


def test_buffers_both_ways(kernel):
    echo(kernel, "echo", "c2")
    sent = send(kernel, "comm_msg", comm_id="c2", data={"n": 1}, buffers=[b"\x00\x01\x02\x03", b""])
    [reply] = kernel.outputs(sent)[1:-1]
    assert reply["metadata"] == {"sizes": [4, 0]}
    assert [bytes(b) for b in reply["buffers"]] == [b"\x00\x02\x04\x06", b"\x00\x01\x02\x03"]
    big = bytes(range(256)) * 2**17  # 32 MB
    [reply] = kernel.outputs(send(kernel, "comm_msg", comm_id="c2", data={"n": 1}, buffers=[big]), 60)[1:-1]
    assert bytes(reply["buffers"][1]) == big


def test_a_cell_opens_a_comm(kernel):
    cell = kernel.run('const own = comms.open("front", { hello: 1 }, { id: "k1", metadata: { version: "2" }, buffers: [new Uint8Array([7])] }); own.send({ a: [1] }); own.id')
    opened, message = [m for m in cell.messages if m["msg_type"].startswith("comm_")]
    assert opened["content"] == {"comm_id": "k1", "target_name": "front", "data": {"hello": 1}}
    assert opened["metadata"] == {"version": "2"} and [bytes(b) for b in opened["buffers"]] == [b"\x07"]
    assert message["content"] == {"comm_id": "k1", "data": {"a": [1]}} and message["parent_header"]["msg_id"] == cell.id
    assert kernel.request("comm_info_request", target_name="front")["comms"] == {"k1": {"target_name": "front"}}
    assert "k1" not in kernel.request("comm_info_request", target_name="other")["comms"]
    kernel.run("let heard: unknown[] = []; own.onMessage(({ data }) => { heard.push(data) })")
    assert answer(kernel, "comm_msg", comm_id="k1", data={"n": 5}) == []
    assert kernel.run("heard").result == "[ { n: 5 } ]"
    closed = [m["content"] for m in kernel.run("own.close({ bye: 1 }); own.close()").messages if m["msg_type"] == "comm_close"]
    assert closed == [{"comm_id": "k1", "data": {"bye": 1}}]
    assert "closed" in kernel.run("own.send({})").error["evalue"]
    assert "object" in kernel.run('comms.open("x", 5 as any)').error["evalue"]


def test_silent_cells_open_comms_too(kernel):
    cell = kernel.run('comms.open("quiet"); console.log("no")', silent=True)
    assert cell.types == ["busy", "comm_open", "idle"]


def test_an_unknown_target_is_closed(kernel):
    [closed] = answer(kernel, "comm_open", comm_id="u1", target_name="nobody", data={})
    assert closed["msg_type"] == "comm_close" and closed["content"] == {"comm_id": "u1", "data": {}}
    assert "u1" not in kernel.request("comm_info_request")["comms"]
    kernel.run('comms.register("gone", () => {}); comms.unregister("gone")')
    assert answer(kernel, "comm_open", comm_id="u2", target_name="gone", data={})[0]["msg_type"] == "comm_close"


def test_errors_of_handlers(kernel):
    kernel.run('comms.register("bad", () => { throw new RangeError("at open") })')
    closed, error = answer(kernel, "comm_open", comm_id="b1", target_name="bad", data={})
    assert closed["msg_type"] == "comm_close" and error["content"]["ename"] == "RangeError"
    kernel.run('comms.register("bad", (comm) => comm.onMessage(async () => { await null; throw new RangeError("at message") }))')
    answer(kernel, "comm_open", comm_id="b2", target_name="bad", data={})
    [error] = answer(kernel, "comm_msg", comm_id="b2", data={})
    assert error["content"]["evalue"] == "at message" and any("In[" in line for line in error["content"]["traceback"])
    assert kernel.run("1").result == "1"


def test_messages_are_heard_while_a_cell_waits(kernel):
    kernel.run('const asked = comms.open("ask", {}, { id: "a1" })')
    sent = kernel.client.execute("const said = await new Promise<any>((r) => asked.onMessage(({ data }) => { console.log('in', data.n); r(data.n) })); said")
    time.sleep(0.3)
    message = send(kernel, "comm_msg", comm_id="a1", data={"n": 3})
    seen = []
    while not any(m["parent_header"].get("msg_id") == sent and m["content"].get("execution_state") == "idle" for m in seen):
        seen.append(check(kernel.client.get_iopub_msg(timeout=20)))
    of = lambda id, kind: [m["content"] for m in seen if m["parent_header"].get("msg_id") == id and m["msg_type"] == kind]
    assert of(sent, "execute_result")[0]["data"]["text/plain"] == "3"
    assert of(message, "stream") == [{"name": "stdout", "text": "in 3\n"}]
    assert [c["execution_state"] for c in of(message, "status")] == ["busy", "idle"]


def test_messages_come_in_order(kernel):
    kernel.run('let order: number[] = []; comms.register("order", (comm) => comm.onMessage(({ data }) => { order.push(data.n) }))')
    kernel.client.execute("await new Promise((r) => setTimeout(r, 300))")
    send(kernel, "comm_open", comm_id="o1", target_name="order", data={})
    for n in range(50):
        if n == 20:
            kernel.client.execute("await new Promise((r) => setTimeout(r, 100))")
        last = send(kernel, "comm_msg", comm_id="o1", data={"n": n})
    kernel.outputs(last)
    assert kernel.run("order.every((n, i) => n === i) && order.length").result == "50"


@pytest.mark.parametrize("code", ["for (;;);", "return new Promise(() => {})", "return (async () => { await null; for (;;); })()"])
def test_a_handler_that_does_not_end_is_stopped(kernel, code):
    kernel.run(f'let kept = 1; comms.register("stuck", (comm) => comm.onMessage(() => {{ {code} }}))')
    answer(kernel, "comm_open", comm_id="s1", target_name="stuck", data={})
    sent = send(kernel, "comm_msg", comm_id="s1", data={})
    time.sleep(0.3)
    kernel.interrupt()
    [error] = kernel.outputs(sent)[1:-1]
    assert error["content"]["ename"] == "KeyboardInterrupt", error["content"]
    assert kernel.run("kept").result == "1"


def test_an_interrupt_of_a_cell_ends_what_is_handled_beside_it(kernel):
    kernel.run('const beside = comms.open("beside", {}, { id: "i1" }); beside.onMessage(() => { for (;;); })')
    cell = kernel.client.execute("await new Promise(() => {})")
    time.sleep(0.3)
    sent = send(kernel, "comm_msg", comm_id="i1", data={})
    time.sleep(0.2)
    kernel.interrupt()
    ended = set()
    while not ended >= {cell, sent}:
        message = check(kernel.client.get_iopub_msg(timeout=20))
        if message["content"].get("execution_state") == "idle":
            ended.add(message["parent_header"]["msg_id"])
    assert kernel.run("1").result == "1"


def test_comms_end_with_the_process(kernel):
    kernel.run('comms.open("lost", {}, { id: "l1" }); comms.register("lost", () => {})')
    answer(kernel, "comm_open", comm_id="l2", target_name="lost", data={})
    cell = kernel.run("process.exit(1)")
    assert {"l1", "l2"} <= {c["comm_id"] for c in cell.all("comm_close")}
    assert kernel.request("comm_info_request")["comms"] == {}
    assert answer(kernel, "comm_msg", comm_id="l1", data={}) == []
    assert answer(kernel, "comm_open", comm_id="l3", target_name="lost", data={})[0]["msg_type"] == "comm_close"
