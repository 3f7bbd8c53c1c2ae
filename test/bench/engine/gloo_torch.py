"""An all-reduce peer: `gloo_torch.py RANK PORT`. Reads `MEGABYTES REPEATS`, prints the milliseconds of one all-reduce."""

import sys
import time

import torch
import torch.distributed as dist

rank, port = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
print("ready", torch.__version__, flush=True)
tensors = {}
for line in sys.stdin:
    megabytes, repeats = map(int, line.split())
    x = tensors.setdefault(megabytes, torch.ones(megabytes * 2**18))
    x.fill_(1)
    dist.barrier()
    begin = time.perf_counter()
    for _ in range(repeats):
        dist.all_reduce(x)
    taken = (time.perf_counter() - begin) * 1e3 / repeats
    assert x[-1] == 2**repeats, x[-1]
    print(taken, flush=True)
