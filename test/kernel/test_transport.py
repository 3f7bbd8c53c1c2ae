"""Sockets and their safety: the connection file, ipc, replays, many clients, and that nothing outlives the program that started the kernel."""

import ctypes
import json
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import time
import uuid

import pytest
import zmq
from client import Kernel
from test_crash import family, wait_until_gone
from test_messages import Wire, subscriber

PORTS = ["shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"]


@pytest.fixture(scope="session")
def front(kernels_folder):
    """The command of the kernel, without the connection file."""
    return json.loads((kernels_folder / "whetstone/kernel.json").read_text())["argv"][:2]


def free_ports():
    holders = [socket.socket() for _ in PORTS]
    for holder in holders:
        holder.bind(("127.0.0.1", 0))
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def connection(**changes):
    """A good connection file's fields with some of them changed; None leaves a field out."""
    fields = {"transport": "tcp", "ip": "127.0.0.1", "key": "k" * 64, "signature_scheme": "hmac-sha256", **dict(zip(PORTS, free_ports()))}
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def drop_privileges():
    """Root may read and write everything; without these two capabilities (DAC_OVERRIDE, DAC_READ_SEARCH) it is as others are."""
    if os.geteuid() == 0:
        for capability in (1, 2):
            assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0


def start(front, *arguments, **options):
    return subprocess.Popen([*front, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def ended(process):
    """Exit code and stderr of a kernel that refuses to start."""
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert out == ""
    return process.returncode, err


WRONG = {
    "transport": [None, "udp", 5],
    "ip": [None, "", 7],
    "key": [None, 5, ["k"]],
    "signature_scheme": [None, "hmac-md5"],
    **{port: [None, "5555", 0, -1, 1.5, 65_536, True, {}] for port in PORTS},
}


def test_a_wrong_connection_file_is_an_error_that_names_the_field(front, tmp_path):
    cases = []
    for field, values in WRONG.items():
        for value in values:
            file = tmp_path / f"{len(cases)}.json"
            file.write_text(json.dumps(connection(**{field: value})))
            has = f"has no {field}" if value is None else f"has {field} = {json.dumps(value, separators=(',', ':'))}"
            cases.append((file, has))
    twice = tmp_path / "twice.json"
    fields = connection()
    twice.write_text(json.dumps({**fields, "stdin_port": fields["hb_port"]}))
    cases.append((twice, "another number than that of"))
    long = tmp_path / "long.json"
    long.write_text(json.dumps(connection(transport="ipc", ip="/tmp/" + "x" * 120)))
    cases.append((long, "names of sockets of at most 107 bytes"))
    for name, text in {"cut": '{"transport": "tcp"', "list": "[]", "null": "null"}.items():
        file = tmp_path / f"{name}.json"
        file.write_text(text)
        cases.append((file, "cannot read the connection file" if name == "cut" else "holds no JSON object"))
    cases.append((tmp_path / "not-there.json", "cannot read the connection file"))
    cases.append((tmp_path, "cannot read the connection file"))
    while cases:
        batch, cases = cases[:6], cases[6:]
        for (file, wanted), process in [(case, start(front, case[0])) for case in batch]:
            code, err = ended(process)
            assert code == 2 and str(file) in err and wanted in err, (wanted, code, err)
            assert len(err.strip().splitlines()) == 1, err


def test_a_connection_file_that_may_not_be_read_and_one_that_all_may(front, tmp_path):
    file = tmp_path / "connection.json"
    file.write_text(json.dumps(connection()))
    file.chmod(0)
    code, err = ended(start(front, file, preexec_fn=drop_privileges))
    assert code == 2 and "permission denied" in err and str(file) in err
    file.chmod(0o644)
    process = start(front, file)
    try:
        assert "other users of this machine can read the key" in process.stderr.readline()
    finally:
        process.kill()
        process.communicate()


def test_no_argument(front):
    code, err = ended(start(front))
    assert code == 2 and "usage:" in err


def test_a_port_that_is_taken_and_an_address_of_another_machine(front, tmp_path):
    file = tmp_path / "connection.json"
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        file.write_text(json.dumps(connection(stdin_port=port)))
        file.chmod(0o600)
        code, err = ended(start(front, file))
        assert code == 1 and f"cannot listen on stdin_port, tcp://127.0.0.1:{port}" in err and "in use" in err, err
    # One that is about to become free is waited for.
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        file.write_text(json.dumps(connection(stdin_port=holder.getsockname()[1])))
        process = start(front, file)
        time.sleep(0.4)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
    finally:
        process.kill()
        process.communicate()
    # Of the block that is kept for documentation.
    file.write_text(json.dumps(connection(ip="203.0.113.1")))
    code, err = ended(start(front, file))
    assert code == 1 and "cannot listen on" in err and "ip has to be an address of this machine" in err, err
    file.write_text(json.dumps(connection(transport="ipc", ip=str(tmp_path / "no" / "folder"))))
    code, err = ended(start(front, file))
    assert code == 1 and "a path in a folder that may be written to" in err, err


def test_ipc(kernels_folder, tmp_path):
    kernel = Kernel(kernels_folder, tmp_path)
    # Names of sockets are short; pytest's folders are not.
    folder = f"/tmp/whetstone-{uuid.uuid4().hex[:8]}"
    os.mkdir(folder, 0o700)
    kernel.manager.transport, kernel.manager.ip = "ipc", f"{folder}/ü kernel"
    try:
        with kernel:
            names = sorted(os.listdir(folder))
            assert len(names) == 5 and all(name.startswith("ü kernel-") for name in names), names
            for name in names:
                mode = os.stat(f"{folder}/{name}").st_mode
                assert stat.S_ISSOCK(mode) and mode & 0o077 == 0, oct(mode)
            assert kernel.run("let x = 40; x + 2").result == "42"
            mask = os.umask(0)
            os.umask(mask)
            assert kernel.run("process.umask()").result == str(mask)
            assert kernel.run("await prompt('name')", answers=["Ada"]).result == "'Ada'"
            sent = kernel.client.execute("for (;;) {}")
            time.sleep(0.3)
            kernel.interrupt()
            assert kernel.collect(sent).error["ename"] == "KeyboardInterrupt"
            assert kernel.client.hb_channel.is_beating()
            assert kernel.request("kernel_info_request", "control")["status"] == "ok"
            assert kernel.run("x").result == "40"
            # The kernel that follows takes the same names.
            kernel.manager.restart_kernel(now=True)
            kernel.client.wait_for_ready(timeout=60)
            assert kernel.run("1").result == "1"
    finally:
        kernel.manager.cleanup_connection_file()
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)


def signed(wire, kind="execute_request", **content):
    header = {**Wire.header(kind), "session": "replayed"}
    parts = [json.dumps(part).encode() for part in [header, {}, {}, content]]
    return header["msg_id"], [b"<IDS|MSG>", wire.sign(parts), *parts]


def test_a_message_counts_once(kernel):
    kernel.run("let count = 0")
    with Wire(kernel) as one, Wire(kernel) as two, Wire(kernel, "control_port") as control:
        asked, frames = signed(one, code="count += 1")
        one.socket.send_multipart(frames)
        assert one.answer(20)[0] == asked
        for wire in [one, one, two, control]:
            wire.socket.send_multipart(frames)
            wire.socket.send_multipart([*frames, b"a buffer more"])
        # A client that asks the same anew makes a new message.
        for wire in [one, two, control]:
            asked, frames = signed(wire, "kernel_info_request")
            wire.socket.send_multipart(frames)
            assert wire.answer(20)[0] == asked, "the first answer is that to the only message that is new"
    assert kernel.run("count").result == "1"


def test_what_the_kernel_has_said_cannot_be_sent_back(kernel):
    listener = subscriber(kernel)
    heard = [listener.recv_multipart()]
    kernel.run("const comm = comms.open('nobody', {}); let told = 0; comm.onMessage(() => { told++ }); comm.send({ a: 1 })")
    while listener.poll(500):
        heard.append(listener.recv_multipart())
    listener.close()
    kinds = [json.loads(frames[3])["msg_type"] for frames in heard]
    assert "comm_msg" in kinds and "iopub_welcome" in kinds
    with Wire(kernel) as wire:
        for frames in heard:
            wire.socket.send_multipart(frames[1:])
        asked, frames = signed(wire, "kernel_info_request")
        wire.socket.send_multipart(frames)
        assert wire.answer(20)[0] == asked
    assert kernel.run("told").result == "0"
    statuses = [m for m in kernel.late(0.2) if m["parent_header"].get("msg_type") == "comm_msg"]
    assert statuses == []


def test_the_same_heartbeat_is_answered_each_time(kernel):
    info = kernel.manager.get_connection_info()
    beats = [zmq.Context.instance().socket(zmq.REQ) for _ in range(3)]
    for beat in beats:
        beat.linger = 0
        beat.connect(f"tcp://{info['ip']}:{info['hb_port']}")
    for _ in range(5):
        for beat in beats:
            beat.send(b"ping")
        for beat in beats:
            assert beat.poll(10_000) and beat.recv() == b"ping"
    for beat in beats:
        beat.close()


def test_a_subscription_is_greeted_by_its_own_topic(kernel):
    info = kernel.manager.get_connection_info()
    for topic in [b"kernel.", "größe".encode(), b"\xff\x00\x01"]:
        listener = zmq.Context.instance().socket(zmq.SUB)
        listener.linger = 0
        listener.connect(f"tcp://{info['ip']}:{info['iopub_port']}")
        listener.subscribe(topic)
        assert listener.poll(10_000), topic
        frames = listener.recv_multipart()
        assert frames[0] == topic and json.loads(frames[3])["msg_type"] == "iopub_welcome"
        assert json.loads(frames[6])["subscription"] == topic.decode(errors="replace")
        listener.close()
    kernel.late(0.2)


def test_many_clients(kernel):
    wires = [Wire(kernel) for _ in range(12)]
    asked = {}
    for i in range(10):
        for wire in wires:
            header, frames = signed(wire, code=f"{i}")
            asked.setdefault(wire, []).append(header)
            wire.socket.send_multipart(frames)
    for wire in wires:
        assert [wire.answer(60)[0] for _ in range(10)] == asked[wire]
        wire.socket.close()


def test_an_answer_that_is_no_text(kernel):
    for value in [{"toString": 1}, ["a"], {}]:
        cell = kernel.client.execute("await prompt('name')", allow_stdin=True)
        assert kernel.client.get_stdin_msg(timeout=20)["msg_type"] == "input_request"
        kernel.client.stdin_channel.send(kernel.client.session.msg("input_reply", {"value": value}))
        assert "answered with no text" in kernel.collect(cell).error["evalue"]
    assert kernel.run("await prompt('name')", answers=["Ada"]).result == "'Ada'"


def test_a_kernel_without_a_key_takes_what_comes(kernels_folder, tmp_path):
    kernel = Kernel(kernels_folder, tmp_path)
    kernel.manager.session.key = b""
    with kernel:
        assert kernel.run("1").result == "1" and kernel.run("1").result == "1"


# Nothing outlives the program that started it.

# Like Jupyter it says who it is, unless the first argument is "mute".
STARTER = """
import os, subprocess, sys, time
told = {} if sys.argv[1] == "mute" else {"JPY_PARENT_PID": str(os.getpid())}
print(subprocess.Popen(sys.argv[2:], env={**os.environ, **told}).pid, flush=True)
time.sleep(60)
"""


def adopter():
    """Who becomes the parent of a process that has lost its own: process 1, or a manager of the user's session."""
    orphan = "import os, time\nwhile os.getppid() == {0}: time.sleep(0.01)\nprint(os.getppid())"
    command = f"import os, subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', {orphan!r}.format(os.getpid())])"
    return int(subprocess.run([sys.executable, "-S", "-c", command], capture_output=True, text=True, check=True, timeout=30).stdout)


def marked(mark):
    """The processes that have inherited this environment variable."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/environ", "rb") as environ:
                    if f"WHETSTONE_TEST_MARK={mark}".encode() in environ.read().split(b"\0"):
                        found.append(int(entry))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("whom", ["the program that started it", "the front"])
def test_a_kernel_whose_start_is_cut_off_leaves_no_process(front, tmp_path, whom):
    moments = random.Random(5)
    file = tmp_path / "connection.json"
    file.touch(0o600)
    # The first while Node itself starts: nothing of the kernel has yet looked who its parent is.
    mute = "mute" if adopter() == 1 else "told"
    for told, moment in [("told", 0), (mute, 0), (mute, 0.05), *(("told", moments.random() * 0.5) for _ in range(4))]:
        file.write_text(json.dumps(connection()))
        mark = uuid.uuid4().hex
        command = [sys.executable, "-S", "-c", STARTER, told, *front, file]
        env = {name: value for name, value in os.environ.items() if name != "JPY_PARENT_PID"}
        starter = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**env, "WHETSTONE_TEST_MARK": mark})
        kernel = int(starter.stdout.readline())
        try:
            time.sleep(moment)
            os.kill(kernel if whom == "the front" else starter.pid, signal.SIGKILL)
            if whom == "the front":
                assert wait_until_gone([pid for pid in marked(mark) if pid != starter.pid]) == []
            starter.kill()
            starter.wait()
            assert wait_until_gone([kernel]) == []
            assert wait_until_gone(marked(mark)) == []
        finally:
            starter.stdout.close()
            for pid in [starter.pid, *marked(mark)]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


SLOW_CHECK = "type Grow<N extends number, T extends 0[] = []> = T['length'] extends N ? T : Grow<N, [...T, 0]>;\n" + "\n".join(
    f"type G{i} = Grow<{990 - i}>; const g{i}: G{i}['length'] = {990 - i};" for i in range(400)
)


def test_a_check_ends_with_the_front(own_kernel):
    own_kernel.run("1")
    own_kernel.client.execute(SLOW_CHECK)
    time.sleep(0.5)
    processes = family(own_kernel.pid)
    [compiler] = [pid for pid in processes if "check.blob" in open(f"/proc/{pid}/cmdline").read() or "compile.cjs" in open(f"/proc/{pid}/cmdline").read()]

    def ticks():
        with open(f"/proc/{compiler}/stat") as text:
            return sum(map(int, text.read().rsplit(")", 1)[1].split()[11:13]))

    before = ticks()
    time.sleep(0.5)
    assert ticks() > before, "it checks"
    os.kill(own_kernel.pid, signal.SIGKILL)
    assert wait_until_gone(processes[1:], seconds=5) == []


def test_a_server_behind_another_program(front, tmp_path):
    """The parent lives on, the server that JPY_PARENT_PID names does not."""
    file = tmp_path / "connection.json"
    file.write_text(json.dumps(connection()))
    file.chmod(0o600)
    server = subprocess.Popen(["sleep", "60"])
    env = {**os.environ, "JPY_PARENT_PID": str(server.pid)}
    kernel = start(front, file, env=env)
    try:
        time.sleep(1)
        processes = family(kernel.pid)
        assert len(processes) == 3 and kernel.poll() is None
        server.kill()
        server.wait()
        assert kernel.wait(20) == 0
        assert wait_until_gone(processes) == []
        # One that is started when its server has already gone ends as well.
        kernel = start(front, file, env=env)
        assert kernel.wait(20) == 0
    finally:
        for process in [server, kernel]:
            process.kill()
            process.communicate()
