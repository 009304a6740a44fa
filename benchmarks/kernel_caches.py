"""Measures what it costs to keep few kernels on CPUs (`raysweep.machine.limit_kernel_caches`), and what it saves.

    python benchmarks/kernel_caches.py [--jobs 12] [--rounds 3]

In bfloat16 torch and oneDNN keep a kernel for each shape. A process generates for many short jobs whose prompts have
other lengths, as a host does for one model after the other. Arms, which take turns, each in a process of its own: with
32 kernels, raysweep's limit, and with the packages' own 1,024. Printed: CPU seconds of all jobs but the first, the
growth of the process's memory over these, and the ratio of the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

NAMES = ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")
ARMS = {"32 kernels": "32", "1,024 kernels": "1024"}


def main() -> None:
    """Run the arms in turns and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.jobs)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ARMS}
    for _ in range(options.rounds):
        for name, limit in ARMS.items():
            command = [sys.executable, str(Path(__file__).resolve()), "--one", "--jobs", str(options.jobs)]
            environment = {**os.environ, **dict.fromkeys(NAMES, limit)}
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            found[name].append(json.loads(done.stdout))
    medians = {
        name: {key: round(statistics.median(one[key] for one in runs), 1) for key in runs[0]}
        for name, runs in found.items()
    }
    few, many = (medians[name]["CPU seconds"] for name in ARMS)
    print(json.dumps({**medians, "CPU seconds, 32 / 1,024": round(few / many, 2)}, indent=2))


def measured(jobs: int) -> dict[str, float]:
    """Generate for jobs of other lengths; return CPU seconds and growth after the first."""
    import torch
    from generation import model_of, raysweep

    from raysweep.machine import resident_bytes

    torch.set_num_threads(1)
    seconds, before = 0.0, 0
    for number in range(jobs):
        shape = argparse.Namespace(prompts=4, samples=8, prompt_tokens=60 + 17 * number, new=32, family="llama")
        model, tokenizer, prompts = model_of(shape)
        work = raysweep(model.to(torch.bfloat16), tokenizer, prompts, shape)
        began = time.process_time()
        work()
        if number == 0:
            before = resident_bytes()
        else:
            seconds += time.process_time() - began
    return {"CPU seconds": seconds, "growth, MiB": (resident_bytes() - before) / 2**20}


if __name__ == "__main__":
    main()
