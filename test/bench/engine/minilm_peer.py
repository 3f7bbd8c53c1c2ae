"""
all-MiniLM-L6-v2 from its safetensors in PyTorch, or exported to ONNX in onnxruntime: reads a line, embeds the batch of ids that
the file of the second argument holds, prints its milliseconds and the sum of the first embedding's magnitudes.
Arguments: `torch` or `onnxruntime`, a JSON file with ids [B][T], the folder of the model, a path for the ONNX file.
"""

import json
import struct
import sys

import torch
import torch.nn.functional as F
from peer import serve

way, batch_file, folder, onnx_file = sys.argv[1:5]
with open(f"{folder}/config.json") as file:
    config = json.load(file)
LAYERS, HEADS, EPS = config["num_hidden_layers"], config["num_attention_heads"], config["layer_norm_eps"]


def load(path):
    """safetensors: the length of a JSON header, the header, the bytes."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    tensors = {}
    for name, about in header.items():
        if name != "__metadata__" and about["dtype"] == "F32":
            begin, end = about["data_offsets"]
            flat = torch.frombuffer(data, dtype=torch.float32, offset=begin, count=(end - begin) // 4)
            tensors[name] = flat.reshape(about["shape"]).clone()
    return tensors


class Bert(torch.nn.Module):
    def __init__(self, tensors):
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name.replace(".", "_"), tensor)

    def forward(self, ids):
        def get(name):
            return getattr(self, name.replace(".", "_"))

        def norm(name, x):
            return F.layer_norm(x, x.shape[-1:], get(f"{name}.weight"), get(f"{name}.bias"), EPS)

        def linear(name, x):
            return F.linear(x, get(f"{name}.weight"), get(f"{name}.bias"))

        batch, length = ids.shape
        e = "embeddings"
        x = F.embedding(ids, get(f"{e}.word_embeddings.weight"))
        x = x + get(f"{e}.token_type_embeddings.weight")[0] + get(f"{e}.position_embeddings.weight")[:length]
        x = norm(f"{e}.LayerNorm", x)
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}"
            q, k, v = (
                linear(f"{at}.attention.self.{part}", x).view(batch, length, HEADS, -1).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, -1)
            x = norm(f"{at}.attention.output.LayerNorm", x + linear(f"{at}.attention.output.dense", mixed))
            inner = F.gelu(linear(f"{at}.intermediate.dense", x))
            x = norm(f"{at}.output.LayerNorm", x + linear(f"{at}.output.dense", inner))
        return F.normalize(x.mean(1), dim=-1)


with open(batch_file) as file:
    ids = torch.tensor(json.load(file))
model = Bert(load(f"{folder}/model.safetensors")).eval()
if way == "torch":
    version, threads = torch.__version__, torch.get_num_threads()

    def run():
        with torch.inference_mode():
            return model(ids).numpy()
else:
    import onnxruntime

    torch.onnx.export(model, (ids,), onnx_file, input_names=["ids"], dynamo=False)
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    version, threads = onnxruntime.__version__, torch.get_num_threads()
    numbers = ids.numpy()

    def run():
        return session.run(None, {"ids": numbers})[0]


serve(version, threads, lambda: float(abs(run()[0]).sum()))
