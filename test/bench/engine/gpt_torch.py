"""
The GPT of gpt.ts in PyTorch: reads a line, does a training step, prints its milliseconds and loss.
Arguments: `small` or `medium`, and `eager` or `compile`. Adam is PyTorch's fused one, its fastest on the CPU.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from peer import serve_training

SIZES = {"small": (4, 128, 128, 16, 2048, 4), "medium": (6, 384, 256, 8, 8192, 6)}
LAYERS, WIDTH, CTX, BATCH, VOCAB, HEADS = SIZES[sys.argv[1]]


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.o = nn.Linear(WIDTH, WIDTH, bias=False)
        self.fc, self.pr = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        q, k, v = (
            t.view(BATCH, CTX, HEADS, WIDTH // HEADS).transpose(1, 2)
            for t in self.qkv(self.ln1(x)).split(WIDTH, -1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(mixed.transpose(1, 2).reshape(BATCH, CTX, WIDTH))
        up = self.fc(self.ln2(x))
        return x + self.pr(up * torch.sigmoid(1.702 * up))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(VOCAB, WIDTH)
        self.wpe = nn.Parameter(torch.zeros(CTX, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln = nn.LayerNorm(WIDTH)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, 0, 0.02)

    def forward(self, ids, labels):
        x = self.wte(ids) + self.wpe
        for block in self.blocks:
            x = block(x)
        logits = self.ln(x) @ self.wte.weight.T
        return F.cross_entropy(logits.view(-1, VOCAB), labels.view(-1))


torch.manual_seed(0)
model = Gpt()
optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
if sys.argv[2] == "compile":
    model = torch.compile(model)
ids, labels = torch.randint(VOCAB, (BATCH, CTX)), torch.randint(VOCAB, (BATCH, CTX))
serve_training(torch, model, optimizer, ids, labels)
