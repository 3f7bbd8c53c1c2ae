"""Kernels for the protocol tests: the built one, started by jupyter_client as a Jupyter server starts it."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from client import Kernel, check
from samples import SAMPLES, SUBJECT

root = Path(__file__).parents[2]
# What tests run is not for the history of whoever runs them.
os.environ["WHETSTONE_HISTORY"] = ":memory:"
# What takes long runs in `npm run test:slow` only.
collect_ignore = [] if os.environ.get("WHETSTONE_SLOW") else ["test_soak.py"]


def node() -> str:
    """The Node that the project brings, else one on the path."""
    brought = sorted((root / "node_modules").glob("node-*/bin/node"))
    found = str(brought[0]) if brought else shutil.which("node")
    assert found is not None, "no Node: run npm run setup"
    return found


@pytest.fixture(scope="session")
def kernels_folder(tmp_path_factory):
    """A folder of kernelspecs with ours in it, built if it is out of date."""
    folder = tmp_path_factory.mktemp("kernels")
    subprocess.run([node(), root / "kernel/build/build.mjs"], check=True)
    subprocess.run([node(), root / "kernel/install/kernelspec.ts", folder / "whetstone"], check=True)
    for alias in ["tslab", "jslab"]:
        subprocess.run([node(), root / "kernel/install/kernelspec.ts", folder / alias], check=True)
    assert json.loads((folder / "whetstone/kernel.json").read_text())["language"] == "typescript"
    return folder


@pytest.fixture(scope="module")
def kernel(kernels_folder, tmp_path_factory):
    """One kernel for all tests of a module."""
    with Kernel(kernels_folder, tmp_path_factory.mktemp("notebooks")) as kernel:
        yield kernel


@pytest.fixture
def own_kernel(kernels_folder, tmp_path):
    """A kernel for one test, which may end it."""
    with Kernel(kernels_folder, tmp_path) as kernel:
        yield kernel


# What follows serves the public suites, which run on our kernel or on a peer (samples.py).

# Seconds that a test may take. Only peers need it: what our kernel does not answer ends after the client's own patience.
LIMIT = int(os.environ.get("SUITE_LIMIT", "0"))
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report


def pytest_runtest_logreport(report):
    """Each verdict, also those of subtests, as a line of JSON for who asks for it."""
    path = os.environ.get("SUITE_REPORT")
    if path is None or (report.when != "call" and report.passed):
        return
    crash = getattr(report.longrepr, "reprcrash", None)
    why = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(crash, "message", "")
    with open(path, "a") as file:
        print(json.dumps({"id": report.nodeid, "outcome": report.outcome, "why": why}), file=file)


@pytest.fixture(scope="session")
def subjects_folder(request):
    """The folder of kernelspecs that the suites' kernel is in."""
    return os.environ.get("SUITE_KERNELS") or request.getfixturevalue("kernels_folder")


@pytest.fixture
def limit(request):
    """Ends a test whose kernel hangs. ipykernel takes half a minute to end where a cell has started a process."""
    if LIMIT == 0:
        yield
        return
    seconds = 6 * LIMIT if "own_subject" in request.fixturenames else LIMIT

    def give_up(*_):
        raise TimeoutError(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def start_subject(subjects_folder, tmp_path_factory):
    """Starts the suites' kernel. Only ours has to keep our own rules besides the specification's."""
    kernels = []

    def start(connected=True):
        judge = check if SUBJECT == "whetstone" else lambda message: message
        # Deno colours its texts, which is as good as any other way to show a value.
        kernel = Kernel(subjects_folder, tmp_path_factory.mktemp("suite"), SUBJECT, check=judge, NO_COLOR="1")
        kernels.append(kernel)
        if connected:
            kernel.__enter__()
        else:
            kernel.start()
        return kernel

    yield start
    for kernel in kernels:
        kernel.__exit__()


@pytest.fixture(scope="module")
def shared():
    return []


@pytest.fixture
def subject(ready, limit):
    """The kernel that a test asks; the time limit is that of the test alone."""
    return ready


@pytest.fixture
def ready(request, start_subject, shared):
    """
    One kernel for the tests of a module; a fresh one after a test that failed, so that none suffers from another's. It has run a cell: what a kernel
    loads then, while its output comes late, is not what is asked.
    """
    if not shared:
        kernel = start_subject()
        kernel.run(SAMPLES[SUBJECT]["print"])
        shared.append(kernel)
    yield shared[0]
    if request.node.stash.get(FAILED, False):
        shared.pop().__exit__()


@pytest.fixture
def fresh(start_subject):
    kernel = start_subject()
    yield kernel
    kernel.__exit__()


@pytest.fixture
def own_subject(fresh, limit):
    """A kernel for one test, which may end it."""
    return fresh


@pytest.fixture
def first_message(limit, start_subject):
    """What the first client of a kernel hears first."""
    kernel = start_subject(connected=False)
    kernel.client.start_channels()
    yield kernel.client.get_iopub_msg(timeout=30)
    kernel.__exit__()


@pytest.fixture
def sample():
    """What to run in this kernel, by its name in samples.py."""

    def find(name):
        found = SAMPLES[SUBJECT][name]
        if found is None:
            pytest.skip(f"{SUBJECT} documents no way to: {name}")
        return found

    return find
