"""Runs a notebook with nbclient and prints when each cell began, how long the kernel was busy with it, and the processor time used, in ms."""

import json
import sys
import time
from datetime import datetime

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

path, kernels = sys.argv[1:]
notebook = nbformat.read(path, as_version=4)
manager = AsyncKernelManager(kernel_name="whetstone", kernel_spec_manager=KernelSpecManager(kernel_dirs=[kernels]))
begins = []
client = NotebookClient(notebook, km=manager, timeout=300, on_cell_start=lambda **_: begins.append(time.perf_counter() * 1e3))
used = time.process_time()
client.execute()
used = time.process_time() - used


def date(cell, name):
    return datetime.fromisoformat(cell.metadata.execution[name].replace("Z", "+00:00"))


busy = [(date(cell, "iopub.status.idle") - date(cell, "iopub.status.busy")).total_seconds() * 1e3 for cell in notebook.cells]
print(json.dumps({"begins": begins, "busy": busy, "cpu": used * 1e3}))
