"""What the peers of versus.ts have in common: a line that says what they are, then a step for every line that they read."""

import sys
import time


def serve(version, threads, step):
    """Does `step` for every line of stdin; prints its milliseconds, and the number that it gives, to check it by."""
    print("ready", version, threads, flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        value = step()
        print((time.perf_counter() - begin) * 1e3, value, flush=True)


def serve_training(torch, model, optimizer, *batch):
    """Trains a PyTorch model, which gives the loss of a batch."""

    def step():
        optimizer.zero_grad()
        loss = model(*batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    serve(torch.__version__, torch.get_num_threads(), step)
