"""History across sessions: one file, many kernels, and no cell that fails because of it."""

import os
import sqlite3
import threading
import time

import pytest
from client import Kernel
from test_messages import history


@pytest.fixture
def start(kernels_folder, tmp_path):
    """Starts a kernel with this history; all end with the test."""
    started = []

    def start(path, **env):
        kernel = Kernel(kernels_folder, tmp_path, **{"WHETSTONE_HISTORY": str(path), **env}).__enter__()
        started.append(kernel)
        return kernel

    yield start
    for kernel in started:
        kernel.__exit__()


def shut_down(kernel):
    kernel.request("shutdown_request", "control", restart=False)
    kernel.manager.provisioner.process.wait(10)


def test_the_next_session_knows_what_was_run(start, tmp_path):
    path = tmp_path / "new folder" / "h.sqlite"
    first = start(path)
    first.run("let a = 1; a")
    first.run("throw new Error('it is kept too')")
    first.run("'é😀\\n[x]*'")
    shut_down(first)
    second = start(path)
    assert history(second, hist_access_type="tail", n=2) == [[1, 2, "throw new Error('it is kept too')"], [1, 3, "'é😀\\n[x]*'"]]
    second.run("let b = 2")
    second.run("let a = 1; a")
    assert history(second, hist_access_type="tail", n=3) == [[1, 3, "'é😀\\n[x]*'"], [2, 1, "let b = 2"], [2, 2, "let a = 1; a"]]
    assert history(second, hist_access_type="range", session=-1, start=1, stop=3, output=True) == [
        [1, 1, ["let a = 1; a", "1"]],
        [1, 2, ["throw new Error('it is kept too')", None]],
    ]
    assert history(second, hist_access_type="range", session=0) == [[2, 1, "let b = 2"], [2, 2, "let a = 1; a"]]
    assert history(second, hist_access_type="range", session=1, start=3) == [[1, 3, "'é😀\\n[x]*'"]]
    assert history(second, hist_access_type="range", session=-2) == []
    assert history(second, hist_access_type="search", pattern="*a = 1*") == [[1, 1, "let a = 1; a"], [2, 2, "let a = 1; a"]]
    assert history(second, hist_access_type="search", pattern="*a = 1*", unique=True) == [[2, 2, "let a = 1; a"]]
    assert history(second, hist_access_type="search", pattern="*[x]\\*'") == []
    assert history(second, hist_access_type="search", pattern="*[x]*") == [[1, 3, "'é😀\\n[x]*'"]]
    assert history(second, hist_access_type="search", pattern="let ? = *", n=1) == [[2, 2, "let a = 1; a"]]
    shut_down(second)
    with sqlite3.connect(path) as database:
        sessions = database.execute("select session, num_cmds, end is not null from sessions").fetchall()
    assert sessions == [(1, 3, 1), (2, 2, 1)]
    assert oct(os.stat(path.parent).st_mode)[-3:] == "700"


def test_a_kernel_that_is_killed_loses_nothing_that_was_answered(start, tmp_path):
    kernel = start(tmp_path / "h.sqlite")
    kernel.run("'kept'")
    time.sleep(0.3)
    kernel.manager.provisioner.process.kill()
    assert history(start(tmp_path / "h.sqlite"), hist_access_type="tail", n=1) == [[1, 1, "'kept'"]]


def test_many_kernels_at_once(start, tmp_path):
    path = tmp_path / "h.sqlite"
    kernels = [start(path) for _ in range(4)]
    failed = []

    def work(kernel, k):
        for i in range(25):
            if kernel.run(f"'{k} {i}'", timeout=60).reply["status"] != "ok":
                failed.append((k, i))

    threads = [threading.Thread(target=work, args=(kernel, k)) for k, kernel in enumerate(kernels)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    found = history(kernels[0], hist_access_type="search", pattern="'* *'")
    for _ in range(20):
        if len(found) == 100:
            break
        time.sleep(0.3)  # one that was held up by the others tries again
        found = history(kernels[0], hist_access_type="search", pattern="'* *'")
    assert sorted(line for _, _, line in found) == sorted(f"'{k} {i}'" for k in range(4) for i in range(25))
    sessions = {k: {s for s, _, line in found if line.startswith(f"'{k} ")} for k in range(4)}
    assert sorted(sessions.values(), key=min) == [{1}, {2}, {3}, {4}]


def test_a_locked_file_holds_nobody_up(start, tmp_path):
    path = tmp_path / "h.sqlite"
    kernel = start(path)
    kernel.run("'first'")
    time.sleep(0.3)
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("begin immediate")
    began = time.monotonic()
    for i in range(3):
        assert kernel.run(f"'locked {i}'").reply["status"] == "ok"
    assert history(kernel, hist_access_type="tail", n=1) == [[1, 1, "'first'"]]
    assert time.monotonic() - began < 10
    lock.execute("rollback")
    lock.close()
    assert [line for _, _, line in history(kernel, hist_access_type="tail", n=3)] == ["'locked 0'", "'locked 1'", "'locked 2'"]


@pytest.mark.parametrize("what", ["garbage", "a folder", "a folder that cannot be"])
def test_a_file_that_cannot_be_used(start, tmp_path, what):
    path = tmp_path / "h.sqlite"
    if what == "garbage":
        path.write_bytes(b"this is no database, but somebody's text" * 100)
    elif what == "a folder":
        path.mkdir()
    else:
        (tmp_path / "file").write_text("")
        path = tmp_path / "file" / "h.sqlite"
    kernel = start(path)
    assert kernel.run("'works'").result == "'works'"
    assert history(kernel, hist_access_type="tail", n=5) == [[1, 1, "'works'"]]
    if what == "garbage":
        assert path.read_bytes().startswith(b"this is no database")


def test_it_lies_in_the_data_folder_of_jupyter(start, tmp_path):
    kernel = start("", JUPYTER_DATA_DIR=str(tmp_path / "data"))
    kernel.run("1")
    assert history(kernel, hist_access_type="tail", n=1) == [[1, 1, "1"]]
    assert (tmp_path / "data/whetstone/history.sqlite").exists()
