"""The language model of lstm.ts with torch.nn.LSTM: reads a line, does a training step, prints its milliseconds and loss."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from peer import serve_training

LAYERS, WIDTH, CTX, VOCAB, BATCH = 2, 128, 128, 256, 32


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, WIDTH)
        self.rnn = nn.LSTM(WIDTH, WIDTH, LAYERS)
        self.head = nn.Linear(WIDTH, VOCAB, bias=False)

    def forward(self, ids, labels):
        return F.cross_entropy(self.head(self.rnn(self.embed(ids))[0]).view(-1, VOCAB), labels)


torch.manual_seed(0)
model = Model()
optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
ids, labels = torch.randint(VOCAB, (CTX, BATCH)), torch.randint(VOCAB, (CTX * BATCH,))
serve_training(torch, model, optimizer, ids, labels)
