"""The committed notebooks run under Python's own client, in quick mode; files written here are read and written there."""

import os
import subprocess
import time

import nbformat
import pytest
from conftest import node, root
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS = sorted((root / "notebooks").glob("*.ipynb"))


def run(notebook, folder, kernels_folder, **options):
    """Runs a notebook in its folder, as `jupyter execute` does."""
    manager = AsyncKernelManager(
        kernel_name="whetstone", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(kernels_folder)])
    )
    client = NotebookClient(notebook, km=manager, resources={"metadata": {"path": str(folder)}}, timeout=300, **options)
    client.execute()
    return notebook


def errors(cell):
    return [output for output in cell.get("outputs", []) if output.output_type == "error"]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setenv("WHETSTONE_QUICK", "1")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_notebook(path, kernels_folder, tmp_path, quick, capsys):
    notebook = nbformat.read(path, as_version=4)
    begin = time.monotonic()
    run(notebook, path.parent, kernels_folder)
    with capsys.disabled():
        print(f" {path.stem}: {time.monotonic() - begin:.1f} s in quick mode ", end="")

    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        expected = [tag.removeprefix("expect:") for tag in tags if tag.startswith("expect:")]
        failed = errors(cell)
        if "raises-exception" not in tags:
            assert failed == [], f"{cell.id}: {failed}"
            continue
        # nbclient lets such a cell pass when it does not raise.
        assert len(failed) == 1, f"{cell.id} should fail, and ran through"
        for text in expected:
            assert text == failed[0].ename or text in failed[0].evalue, f"{cell.id}: {failed[0]}"
    nbformat.validate(notebook)
    assert_written_alike(notebook, tmp_path)


def assert_written_alike(notebook, folder):
    """What Jupyter has written, our reader and writer leave as it is."""
    theirs, ours = folder / "theirs.ipynb", folder / "ours.ipynb"
    nbformat.write(notebook, theirs)
    module = (root / "kernel/run/notebook.ts").as_uri()
    code = f'const {{ readNotebook, writeNotebook }} = await import("{module}"); const [from, to] = process.argv.slice(1); writeNotebook(to, readNotebook(from));'
    subprocess.run([node(), "--input-type=module", "-e", code, theirs, ours], check=True, env={**os.environ, "NODE_NO_WARNINGS": "1"})
    assert ours.read_bytes() == theirs.read_bytes()


def small(*sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(cells=cells)


def test_our_own_way_of_writing_numbers_and_lines(tmp_path):
    notebook = small("a\u2028b\x0bc\r\nd\x1ce\n")
    data = {
        "text/plain": "1\n2",
        "application/json": [1.0, 1e-05, 1e16, 1e22, -0.0, 12345678901234567890, "é🙂\u2028"],
        "image/svg+xml": "<svg>\n</svg>",
        "text/html": "",
    }
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data=data)]
    notebook.cells.append(nbformat.v4.new_markdown_cell("![a](attachment:a.svg)", attachments={"a.svg": {"image/svg+xml": "a\nb"}}))
    notebook.metadata = {"b": {}, "a": [], "B": [[], {}]}
    assert_written_alike(notebook, tmp_path)


def test_a_failing_cell_stops_nbclient(kernels_folder, tmp_path):
    with pytest.raises(CellExecutionError, match="TS2322"):
        run(small("1", 'const n: number = "text"'), tmp_path, kernels_folder)
    with pytest.raises(CellExecutionError, match="RangeError: too far"):
        run(small("throw new RangeError('too far')", "1"), tmp_path, kernels_folder)


def test_streams_and_displays(kernels_folder, tmp_path):
    notebook = small("const shown = display('first'); console.log('a'); console.error('b')", "shown.update('second'); 1")
    run(notebook, tmp_path, kernels_folder)
    first = notebook.cells[0].outputs
    assert "second" in first[0].data["text/plain"]
    assert {(output.name, output.text) for output in first[1:]} == {("stdout", "a\n"), ("stderr", "b\n")}
    assert notebook.cells[1].outputs[0].data["text/plain"] == "1"
