"""
A GPT-2 of transformers in PyTorch: for each line that it reads it does a step of AdamW on the next batch, and prints the milliseconds
and the loss. Arguments: the folder of the model; a safetensors file with `ids` and `targets` [steps, B, T]; the step size.
"""

import sys

import torch
import torch.nn.functional as F
import transformers
from peer import serve
from safetensors.torch import load_file

folder, batches, lr = sys.argv[1:4]
transformers.utils.logging.disable_progress_bar()
model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_pdrop=0, embd_pdrop=0, resid_pdrop=0)
model.train()
optimizer = torch.optim.AdamW(model.parameters(), float(lr), weight_decay=0)
batches = load_file(batches)
data = zip(batches["ids"].long(), batches["targets"].long())


def step():
    ids, targets = next(data)
    optimizer.zero_grad()
    loss = F.cross_entropy(model(ids).logits.flatten(0, 1), targets.flatten())
    loss.backward()
    optimizer.step()
    return loss.item()


serve(f"{torch.__version__}+transformers-{transformers.__version__}", torch.get_num_threads(), step)
