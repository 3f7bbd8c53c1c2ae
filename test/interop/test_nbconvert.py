"""The committed notebooks as HTML pages, as `jupyter nbconvert --to html` makes them: nothing is run, nothing is lost."""

import re
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def outputs(notebook, mime):
    return [
        output.data[mime]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if mime in output.get("data", {})
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_page(path):
    notebook = nbformat.read(path, as_version=4)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    pictures = outputs(notebook, "image/png")
    assert len(pictures) > 0
    for picture in pictures:
        assert "".join(picture.split()) in "".join(page.split()), "a figure is missing"
    for claim in outputs(notebook, "application/vnd.claim+json"):
        assert claim["id"] in page
    # Pygments knows the language: keywords of the first cell with one are marked as such.
    assert re.search(r'<span class="k[a-z]?">(import|const)</span>', page)
    errors = [o for cell in notebook.cells for o in cell.get("outputs", []) if o.output_type == "error"]
    assert page.count("jp-OutputArea-output") >= len(pictures) + len(errors)
    for error in errors:
        assert error.ename in page
    assert "\x1b[" not in page, "colours of a terminal are left in the page"
