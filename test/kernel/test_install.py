"""The kernel as its command installs it, in the programs that people use: each finds it by its name only."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pexpect
import pytest
import websocket
from client import Kernel
from conftest import node, root
from test_transport import drop_privileges, free_ports

WHETSTONE = [node(), root / "kernel/install/whetstone.mjs"]


@pytest.fixture(scope="module")
def prefix(kernels_folder, tmp_path_factory):
    """A prefix with the kernel in it, whose path has a space and an umlaut."""
    prefix = tmp_path_factory.mktemp("Größe mit Leerzeichen")
    out = subprocess.run([*WHETSTONE, "install", "--prefix", prefix], check=True, capture_output=True, text=True).stdout
    assert str(prefix / "share/jupyter/kernels/whetstone") in out and "JUPYTER_PATH" in out
    return prefix


@pytest.fixture
def environment(prefix, tmp_path):
    """Variables for a program of Jupyter that knows this kernel and nothing of who runs the tests."""
    places = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ["CONFIG", "DATA", "RUNTIME"]}
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ["PATH", "LANG"] if name in os.environ}
    return {**kept, **places, "HOME": str(home), "JUPYTER_PATH": str(prefix / "share/jupyter"), "IPYTHONDIR": str(home)}


def write_notebook(path):
    cells = [
        "const width: number = 6;\nconsole.log('written')",
        "display({ 'text/html': '<b>shown</b>', 'text/plain': 'shown' }, { raw: true }); width * 7",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    notebook.metadata.kernelspec = {"name": "whetstone", "display_name": "TypeScript", "language": "typescript"}
    nbformat.write(notebook, path)
    return path


def check_outputs(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    first, second = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [(output.name, output.text) for output in first.outputs] == [("stdout", "written\n")]
    shown, result = second.outputs
    assert shown.data["text/html"] == "<b>shown</b>" and result.data["text/plain"] == "42"
    assert notebook.metadata.language_info.name == "typescript"


def run(arguments, environment, cwd):
    done = subprocess.run([sys.executable, "-m", *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "Übung eins"
    folder.mkdir()
    write_notebook(folder / "mein Heft.ipynb")
    return folder


def test_the_kernelspec(prefix, environment, folder):
    spec = json.loads((prefix / "share/jupyter/kernels/whetstone/kernel.json").read_text())
    assert all(os.path.isabs(part) for part in spec["argv"][:2]) and spec["argv"][2] == "{connection_file}"
    assert spec["interrupt_mode"] == "message" and spec["language"] == "typescript"
    assert spec["metadata"]["whetstone"]["version"] and spec["display_name"] == "TypeScript (Whetstone)"
    listed = json.loads(run(["jupyter_client.kernelspecapp", "list", "--json"], environment, folder))
    assert listed["kernelspecs"]["whetstone"]["resource_dir"] == str(prefix / "share/jupyter/kernels/whetstone")


def test_nbclient(environment, folder):
    run(["jupyter", "execute", "--inplace", "mein Heft.ipynb"], environment, folder)
    check_outputs(folder / "mein Heft.ipynb")


def test_nbconvert(environment, folder):
    run(["nbconvert", "--to", "notebook", "--execute", "--output", "neu.ipynb", "mein Heft.ipynb"], environment, folder)
    check_outputs(folder / "neu.ipynb")
    run(["nbconvert", "--to", "script", "neu.ipynb"], environment, folder)
    assert "const width: number = 6;" in (folder / "neu.ts").read_text()


def test_papermill(environment, folder):
    run(["papermill", "mein Heft.ipynb", "neu.ipynb"], environment, folder)
    check_outputs(folder / "neu.ipynb")


def test_jupyter_console(environment, folder):
    command = ["-m", "jupyter_console", "--kernel", "whetstone", "--simple-prompt"]
    console = pexpect.spawn(sys.executable, command, cwd=str(folder), env=environment, encoding="utf-8", timeout=60, echo=False)
    try:
        for sent, wanted in [
            ("const ten: number = 10", None),
            ("ten * 4 + 2", r"Out\[2\]: 42"),
            ("const wrong: number = 'text'", "TS2322"),
            ("console.log('größe')", "größe"),
            ("await prompt('your name ')", "your name "),
        ]:
            console.expect(r"In \[\d+\]: ")
            console.sendline(sent)
            if wanted is not None:
                console.expect(wanted)
        console.sendline("Ada")
        console.expect("'Ada'")
        console.expect(r"In \[\d+\]: ")
        console.sendeof()
        console.expect("really want to exit")
        console.sendline("y")
        console.expect(pexpect.EOF)
    finally:
        console.close(force=True)


def test_jupyter_server(environment, folder):
    """What JupyterLab does with a kernel: lists it with its logos, starts it, runs a cell over a websocket."""
    port = free_ports()[0]
    options = [f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token=secret", f"--ServerApp.root_dir={folder}"]
    log = open(folder / "server.log", "w")
    server = subprocess.Popen([sys.executable, "-m", "jupyter", "server", *options], env=environment, stdout=log, stderr=log)

    def ask(path, method="GET", body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": "token secret"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.headers["Content-Type"], answer.read()

    try:
        for _ in range(600):
            try:
                specs = json.loads(ask("/api/kernelspecs")[1])["kernelspecs"]
                break
            except OSError:
                assert server.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.1)
        logos = specs["whetstone"]["resources"]
        assert set(logos) == {"logo-svg", "logo-32x32", "logo-64x64"}
        for name, path in logos.items():
            kind, picture = ask(path)
            assert kind.startswith("image/svg" if name == "logo-svg" else "image/png") and len(picture) > 100
        kernel = json.loads(ask("/api/kernels", "POST", {"name": "whetstone", "path": "mein Heft.ipynb"})[1])["id"]
        channel = websocket.create_connection(f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels?token=secret", timeout=60)
        header = {"msg_id": "one", "msg_type": "execute_request", "session": "s", "username": "", "version": "5.3", "date": ""}
        content = {"code": "process.cwd()", "silent": False}
        channel.send(json.dumps({"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}))
        while True:
            message = json.loads(channel.recv())
            if message["msg_type"] == "execute_result":
                break
        assert message["content"]["data"]["text/plain"] == f"'{folder}'"
        channel.close()
        ask(f"/api/kernels/{kernel}", "DELETE")
    finally:
        server.terminate()
        server.wait(30)
        log.close()


@contextmanager
def started(kernel, environment, **options):
    """A kernel with exactly these variables."""
    kernel.manager.start_kernel(cwd=str(kernel.cwd), env=environment, **options)
    kernel.client = kernel.manager.client()
    kernel.client.start_channels()
    try:
        kernel.client.wait_for_ready(timeout=60)
        yield kernel
    finally:
        kernel.__exit__()


def test_no_home(prefix, tmp_path, folder):
    kernels = prefix / "share/jupyter/kernels"
    data = tmp_path / "data"
    with started(Kernel(kernels, folder), {"XDG_DATA_HOME": str(data)}) as kernel:
        assert kernel.run("process.env.HOME === undefined && process.env.PATH === undefined").result == "true"
        assert kernel.run("import { readdirSync } from 'node:fs'; readdirSync('.')").result == "[ 'mein Heft.ipynb' ]"
        assert kernel.request("history_request", hist_access_type="tail", n=1, output=False, raw=True)["history"]
    assert (data / "jupyter/whetstone/history.sqlite").exists()


def test_a_folder_and_a_home_that_may_not_be_written(prefix, folder):
    (folder / "recipe.ts").write_text("export const half = (n: number) => n / 2;\n")
    folder.chmod(0o555)
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    try:
        own = Kernel(prefix / "share/jupyter/kernels", folder)
        with started(own, environment, preexec_fn=drop_privileges) as kernel:
            cell = kernel.run("import { writeFileSync } from 'node:fs'; writeFileSync('new.txt', '')")
            assert "EACCES" in cell.error["evalue"], "this test would show nothing"
            assert kernel.run("import { half } from './recipe.ts'; half(84)").result == "42"
            assert kernel.run("const no: number = ''").error["ename"] == "TS2322"
            history = kernel.request("history_request", hist_access_type="tail", n=9, output=False, raw=True)["history"]
            assert any("half(84)" in line for _, _, line in history)
    finally:
        folder.chmod(0o755)
    assert sorted(os.listdir(folder)) == ["mein Heft.ipynb", "recipe.ts"]
