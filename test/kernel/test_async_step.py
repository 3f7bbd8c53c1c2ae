"""A cell that awaits a long native call: output goes on, the stop button works, and the next cells run."""

import time

import pytest
from client import Kernel
from conftest import root

PREPARE = """
import { jit, tf } from "@whetstone/engine";
const x = tf.randomNormal([1536, 1536], 0, 0.02, "float32", 1);
const step = jit((x: tf.Tensor) => {
  let y = x;
  for (let i = 0; i < 30; i++) y = tf.tanh(tf.matMul(y, x));
  return tf.sum(tf.abs(y));
});
let begun = 0;
(await jit((x: tf.Tensor) => tf.sum(x)).async(x)).shape.length
"""


@pytest.fixture(scope="module")
def engine(kernels_folder):
    # In a folder of the clone, from which the engine can be imported.
    with Kernel(kernels_folder, root / "notebooks") as kernel:
        cell = kernel.run(PREPARE, timeout=60)
        assert cell.reply["status"] == "ok", cell.reply
        yield kernel


def test_timers_print_while_a_step_runs(engine):
    cell = engine.run(
        """
        const lines = setInterval(() => console.log("tick"), 20);
        const y = await step.async(x);
        clearInterval(lines);
        y.dataSync()[0] > 0
        """,
        timeout=60,
    )
    assert cell.reply["status"] == "ok", cell.reply
    assert cell.stdout.count("tick") >= 3, cell.stdout
    assert cell.result == "true"


def test_the_stop_button_ends_a_cell_that_awaits_a_step(engine):
    sent = engine.client.execute("begun++; console.log('begun'); await step.async(x)", allow_stdin=False)
    while engine.client.get_iopub_msg(timeout=30)["msg_type"] != "stream":
        pass
    time.sleep(0.1)
    pressed = time.monotonic()
    engine.interrupt()
    cell = engine.collect(sent, 10)
    assert cell.error["ename"] == "KeyboardInterrupt", cell.error
    # The step itself takes seconds; it goes on behind, and the cells of the user do not wait for it.
    assert time.monotonic() - pressed < 1.5
    after = engine.run("[begun, tf.add(tf.scalar(1), 1).dataSync()[0]]", timeout=30)
    assert after.result.replace(" ", "") == "[1,2]"
