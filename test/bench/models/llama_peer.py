"""
A Llama from a folder of transformers in PyTorch, or exported to ONNX in onnxruntime: reads a line, then either reads the prompt and
prints the milliseconds and the next id, or continues it greedily through a cache, and prints the milliseconds and the sum of the ids,
each times its place. `transformers` is that library's own model and generation, to show that ours in PyTorch is not the slow one.
Arguments: `torch`, `transformers` or `onnxruntime`; `prefill` or `decode`; the folder; a JSON file { prompt, length }; a path for the
ONNX file.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from peer import serve
from safetensors.torch import load_file

way, task, folder, batch_file, onnx_file = sys.argv[1:6]
config = json.loads(Path(folder, "config.json").read_text())
batch = json.loads(Path(batch_file).read_text())
LAYERS, HEADS, GROUPS = (config[f"num_{what}"] for what in ("hidden_layers", "attention_heads", "key_value_heads"))
WIDTH, EPS = config["hidden_size"] // HEADS, config["rms_norm_eps"]
THETA = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]


class Llama(torch.nn.Module):
    """The logits of the last id, and the keys and values: those given, with the new ones written behind the first `at`."""

    def __init__(self, tensors, room):
        super().__init__()
        self.tokens = tensors["model.embed_tokens.weight"]
        self.head = tensors.get("lm_head.weight", self.tokens)
        self.last = tensors["model.norm.weight"]
        self.layers = []
        for i in range(LAYERS):
            at = f"model.layers.{i}."
            w = {name[len(at) :]: tensor for name, tensor in tensors.items() if name.startswith(at)}
            # One product for what has the same input.
            qkv = torch.cat([w[f"self_attn.{part}_proj.weight"] for part in "qkv"])
            wide = torch.cat([w["mlp.gate_proj.weight"], w["mlp.up_proj.weight"]])
            out, down = w["self_attn.o_proj.weight"], w["mlp.down_proj.weight"]
            self.layers.append((w["input_layernorm.weight"], qkv, out, w["post_attention_layernorm.weight"], wide, down))
        turn = torch.arange(room)[:, None] * THETA ** (-torch.arange(0, WIDTH, 2) / WIDTH)
        self.cos, self.sin = turn.cos().repeat(1, 2), turn.sin().repeat(1, 2)

    def forward(self, ids, cache=None, at=0):
        T = ids.shape[0]
        cos, sin = self.cos[at : at + T], self.sin[at : at + T]

        def turned(x):
            a, b = x.chunk(2, -1)
            return x * cos + torch.cat([-b, a], -1) * sin

        x = F.embedding(ids, self.tokens)
        for i, (norm1, qkv, out, norm2, wide, down) in enumerate(self.layers):
            parts = F.linear(self.norm(x, norm1), qkv).view(T, HEADS + 2 * GROUPS, WIDTH).transpose(0, 1)
            q, k, v = parts.split([HEADS, GROUPS, GROUPS])
            mixed = self.attend(i, turned(q), turned(k), v, cache, at)
            x = x + F.linear(mixed.transpose(0, 1).reshape(T, HEADS * WIDTH), out)
            gate, up = F.linear(self.norm(x, norm2), wide).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, down)
        return F.linear(self.norm(x[-1], self.last), self.head)

    def norm(self, x, gain):
        return F.rms_norm(x, gain.shape, gain, EPS)

    def attend(self, i, q, k, v, cache, at):
        keys, values = cache[:, i]
        end = at + q.shape[1]
        keys[:, at:end], values[:, at:end] = k, v
        k, v = keys[None, :, :end], values[None, :, :end]
        return F.scaled_dot_product_attention(q[None], k, v, is_causal=q.shape[1] > 1, enable_gqa=True)[0]


class Exported(Llama):
    """For ONNX, whose graphs write nowhere: gives the new keys and values [2, layers, groups, T, width], to be read with the next id."""

    def forward(self, ids, past):
        self.new = []
        logits = super().forward(ids, past, past.shape[3])
        return logits, torch.stack([torch.stack(kept) for kept in zip(*self.new)])

    causal = True  # a graph is of one kind

    def norm(self, x, gain):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * gain

    def attend(self, i, q, k, v, past, at):
        k, v = torch.cat([past[0, i], k], 1), torch.cat([past[1, i], v], 1)
        self.new.append((k, v))
        many = [x.repeat_interleave(HEADS // GROUPS, 0)[None] for x in (k, v)]
        return F.scaled_dot_product_attention(q[None], *many, is_causal=self.causal)[0]


prompt, length = torch.tensor(batch["prompt"]), batch["length"]
room = len(prompt) + length
threads = torch.get_num_threads()


def continued(one):
    """Greedily, from the id that was read after the prompt; `one` gives what follows an id at a place."""
    id, sum = first, 0
    for i in range(length):
        id = one(id, len(prompt) + i)
        sum += id * (i + 1)
    return sum


if way == "torch":
    version, model = torch.__version__, Llama(load_file(f"{folder}/model.safetensors"), room).eval()
    cache = torch.zeros(2, LAYERS, GROUPS, room, WIDTH)

    def forward(ids, at=0):
        with torch.inference_mode():
            return int(model(ids, cache, at).argmax())

    def read():
        return forward(prompt)

    def decode():
        return continued(lambda id, at: forward(torch.tensor([id]), at))

elif way == "transformers":
    import transformers

    version = transformers.__version__
    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def forward(ids, cache=None):
        with torch.inference_mode():
            out = model(ids[None], cache=cache, use_cache=True, logits_to_keep=1)
        return int(out.logits[0, -1].argmax()), out.cache

    cache = None

    def read():
        global cache
        id, cache = forward(prompt)
        return id

    def decode():
        if more := cache.get_seq_length() - len(prompt):
            cache.crop(-more)  # the last answer is forgotten
        return continued(lambda id, at: forward(torch.tensor([id]), cache)[0])

else:
    import onnxruntime

    version = onnxruntime.__version__
    model = Exported(load_file(f"{folder}/model.safetensors"), room).eval()
    with torch.inference_mode():
        logits, past = model(prompt, torch.zeros(2, LAYERS, GROUPS, 0, WIDTH))
    model.causal = task == "prefill"
    example = (prompt, past[:, :, :, :0]) if task == "prefill" else (prompt[:1], past)
    names = {"input_names": ["ids", "past"], "output_names": ["logits", "kept"]}
    warnings.simplefilter("ignore", DeprecationWarning)  # of the export by tracing, which is enough here
    torch.onnx.export(model, example, onnx_file, dynamic_axes={"past": {3: "read"}}, dynamo=False, **names)
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    # These use the memory of the arrays, which must be held.
    arrays = {"all": past.numpy(), "none": past[:, :, :, :0].contiguous().numpy()}
    kept_of = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in arrays.items()}

    def forward(ids, past):
        array = ids.numpy()
        read = onnxruntime.OrtValue.ortvalue_from_numpy(array)
        logits, kept = session.run_with_ort_values(["logits", "kept"], {"ids": read, "past": past})
        return int(logits.numpy().argmax()), kept

    def read():
        return forward(prompt, kept_of["none"])[0] if task == "prefill" else int(logits.argmax())

    def decode():
        kept = kept_of["all"]

        def one(id, at):
            nonlocal kept
            id, kept = forward(torch.tensor([id]), kept)
            return id

        return continued(one)


first = read()
serve(version, threads, read if task == "prefill" else decode)
