"""
The GPT of gpt.ts in Python's TensorFlow: reads a line, does a training step, prints its milliseconds and loss.
The argument is `eager` or `xla`. Adam is TensorFlow's own op, one for each parameter, as its fastest users have it.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf  # noqa: E402
from peer import serve  # noqa: E402

LAYERS, WIDTH, CTX, BATCH, VOCAB, HEADS = 4, 128, 128, 16, 2048, 4
RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8

params = {}


def normal(name, *shape):
    params[name] = tf.Variable(tf.random.normal(shape, 0, 0.02))


def constant(name, value, size):
    params[name] = tf.Variable(tf.fill([size], value))


normal("wte", VOCAB, WIDTH)
normal("wpe", CTX, WIDTH)
for layer in range(LAYERS):
    for norm in ("ln1", "ln2"):
        constant(f"{layer}.{norm}.g", 1.0, WIDTH)
        constant(f"{layer}.{norm}.b", 0.0, WIDTH)
    normal(f"{layer}.qkv", WIDTH, 3 * WIDTH)
    normal(f"{layer}.o", WIDTH, WIDTH)
    normal(f"{layer}.fc", WIDTH, 4 * WIDTH)
    constant(f"{layer}.fcb", 0.0, 4 * WIDTH)
    normal(f"{layer}.pr", 4 * WIDTH, WIDTH)
    constant(f"{layer}.prb", 0.0, WIDTH)
constant("ln.g", 1.0, WIDTH)
constant("ln.b", 0.0, WIDTH)

mask = (1 - tf.linalg.band_part(tf.ones([CTX, CTX]), -1, 0)) * -1e9


def layer_norm(x, name):
    centred = x - tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), -1, keepdims=True)
    return centred * tf.math.rsqrt(variance + 1e-5) * params[f"{name}.g"] + params[f"{name}.b"]


def heads(x):
    return tf.transpose(tf.reshape(x, [BATCH, CTX, HEADS, WIDTH // HEADS]), [0, 2, 1, 3])


def loss_of(ids, labels):
    x = tf.reshape(tf.gather(params["wte"], ids) + params["wpe"], [BATCH * CTX, WIDTH])
    for layer in range(LAYERS):
        qkv = layer_norm(x, f"{layer}.ln1") @ params[f"{layer}.qkv"]
        q, k, v = (heads(part) for part in tf.split(qkv, 3, 1))
        scores = tf.matmul(q, k, transpose_b=True) * (WIDTH // HEADS) ** -0.5 + mask
        mixed = tf.transpose(tf.nn.softmax(scores) @ v, [0, 2, 1, 3])
        x = x + tf.reshape(mixed, [BATCH * CTX, WIDTH]) @ params[f"{layer}.o"]
        up = layer_norm(x, f"{layer}.ln2") @ params[f"{layer}.fc"] + params[f"{layer}.fcb"]
        x = x + (up * tf.sigmoid(1.702 * up)) @ params[f"{layer}.pr"] + params[f"{layer}.prb"]
    logits = tf.matmul(layer_norm(x, "ln"), params["wte"], transpose_b=True)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


variables = list(params.values())
moments = [(tf.Variable(tf.zeros_like(x)), tf.Variable(tf.zeros_like(x))) for x in variables]
powers = [tf.Variable(BETA1), tf.Variable(BETA2)]


def step(ids, labels):
    with tf.GradientTape() as tape:
        loss = loss_of(ids, labels)
    for x, g, (m, v) in zip(variables, tape.gradient(loss, variables), moments):
        tf.raw_ops.ResourceApplyAdam(
            var=x.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=RATE,
            beta1=BETA1,
            beta2=BETA2,
            epsilon=EPSILON,
            grad=tf.convert_to_tensor(g),
        )
    powers[0].assign(powers[0] * BETA1)
    powers[1].assign(powers[1] * BETA2)
    return loss


if sys.argv[1] == "xla":
    step = tf.function(step, jit_compile=True)
batch_ids = tf.random.uniform([BATCH, CTX], 0, VOCAB, tf.int32)
batch_labels = tf.random.uniform([BATCH * CTX], 0, VOCAB, tf.int32)
serve(tf.__version__, os.cpu_count(), lambda: float(step(batch_ids, batch_labels)))
