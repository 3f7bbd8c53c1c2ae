"""SmolLM2 answers in a cell, as recipes/README.md shows it: the text grows while it is written, and the stop button ends it."""

import re

import pytest
from client import Kernel
from conftest import root

MODEL = root / "data/models/SmolLM2-135M-Instruct"
SNIPPET = re.search(r"<!-- chat -->\n```ts\n(.*?)```", (root / "recipes/README.md").read_text(), re.DOTALL)[1]


def shown(cell):
    return [c["data"]["text/plain"] for c in cell.all("update_display_data")]


@pytest.mark.skipif(not MODEL.exists(), reason="SmolLM2 is not there: npm run setup")
def test_an_answer_grows_in_its_cell_and_can_be_stopped(kernels_folder):
    with Kernel(kernels_folder, root / "notebooks") as kernel:
        cell = kernel.run(SNIPPET, timeout=400)
        assert cell.reply["status"] == "ok", cell.reply
        texts = shown(cell)
        assert "Paris" in texts[-1] and re.search(r"\n\(\d+ tokens/s\)$", texts[-1]), texts
        bodies = [text.rsplit("\n", 1)[0] for text in texts]
        assert len(set(bodies)) > 1, "it comes piece by piece"
        assert all(after.startswith(before) for before, after in zip(bodies, bodies[1:]))

        again = SNIPPET[SNIPPET.index("const messages") :].replace("What is the capital of France?", "Count to one thousand.")
        sent = kernel.client.execute(again, allow_stdin=False)
        while kernel.client.get_iopub_msg(timeout=60)["msg_type"] != "update_display_data":
            pass
        kernel.interrupt()
        stopped = kernel.collect(sent, 30)
        assert stopped.error["ename"] == "KeyboardInterrupt", stopped.error
        after = kernel.run("[messages.length, tf.add(tf.scalar(1), 1).dataSync()[0], params['model.norm.weight'].isDisposed]")
        assert after.result.replace(" ", "").replace("\n", "") == "[1,2,false]", after.result
