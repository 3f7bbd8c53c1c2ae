"""Kernels for the protocol tests: the built one, started by jupyter_client as a Jupyter server starts it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from client import Kernel

root = Path(__file__).parents[2]
# What tests run is not for the history of whoever runs them.
os.environ["WHETSTONE_HISTORY"] = ":memory:"


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
