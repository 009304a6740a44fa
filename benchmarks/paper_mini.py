"""Runs configs/paper-mini.yaml on a simulated cluster: nodes with three labels, whose accelerators are only counted.

    python benchmarks/paper_mini.py [--storage DIR] [--set A.B=C]...

The cluster is Ray's own for tests: a head with CPUs and a node for each label. Nothing computes on an accelerator, but
each cell that trains and each host holds one, so placing, order and pins are those of a real cluster. The sweep runs as
a user would run it, and then once more with everything in the store. One JSON object comes out. Killed half-way, it
goes on from its store.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests.small_ray

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.sweep.folder import SweepFolder, open_folder
from tests.small_ray import SmallRay, small_ray

REPO = Path(__file__).resolve().parents[1]
CONFIG = REPO / "configs" / "paper-mini.yaml"
HEAD_CPUS, NODE_CPUS = 2, 4
ACCELERATORS = {"A100": 3, "A6000": 1, "V100": 1}
"""So many, on the node with this label. Two workers share a full training, beside which a host keeps the third."""
RESOURCES = ("resources.gpus=1", "resources.processes=trial")
"""Ray Train would start four processes for a training of some seconds; two workers need them."""
AGENTS = {"REPORTER_UPDATE_INTERVAL_MS": "60000"}
"""How often each node's dashboard agent looks at all processes: four agents share this machine's cores."""
LOOK_SECONDS = 10.0
TRIAL = "ray::Cell"


@contextlib.contextmanager
def simulated_cluster() -> Iterator[SmallRay]:
    """Start the cluster for the length of a block; it runs in a process of its own."""
    own = {"object_store_memory": 150 * 2**20}
    nodes = [
        {"num_cpus": NODE_CPUS, "num_gpus": gpus, "labels": {ACCELERATOR_LABEL: label}, **own}
        for label, gpus in ACCELERATORS.items()
    ]
    with small_ray(AGENTS, num_cpus=HEAD_CPUS, num_gpus=0, include_dashboard=False, **own) as ray, ray.nodes(*nodes):
        yield ray


class Watch:
    """The most memory of this process's children and of theirs, in GiB, and the most trials at a time.

    Pages that processes share count once.
    """

    def __init__(self) -> None:
        self.memory, self.trials = 0.0, 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            total = trials = 0
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    total += process.memory_full_info().pss
                    trials += "".join(process.cmdline()[:1]).startswith(TRIAL)
            self.memory, self.trials = max(self.memory, total / 2**30), max(self.trials, trials)


def run(storage: Path, address: str, overrides: list[str]) -> tuple[int, float]:
    """Run the sweep; return its exit code and its seconds."""
    sets = [word for override in (*RESOURCES, *overrides) for word in ("--set", override)]
    where = ["--storage", str(storage), "--address", address]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "raysweep", "run", str(CONFIG), *where, *sets],
        stdout=sys.stderr,
        env={**os.environ, "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"},
    )
    return done.returncode, time.monotonic() - began


def accelerators_by_group(folder: SweepFolder) -> dict[str, list[str]]:
    """Return the types of accelerators that the cells of each base model used, as the sweep's ledger says."""
    used = folder.ledger().accelerators()
    model_of = {row.cell: row.model for row in folder.grid()}
    found: dict[str, set[str]] = defaultdict(set)
    for cell, model in model_of.items():
        found[model] |= used.get(cell, set())
    return {model: sorted(types) for model, types in sorted(found.items())}


def main() -> None:
    """Run it, run it again, and print what was measured; exit with the first run's code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", type=Path, default=Path("raysweep-store"), metavar="DIR")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", dest="overrides")
    options = parser.parse_args()
    with Watch() as watch, simulated_cluster() as cluster:
        code, seconds = run(options.storage, cluster.address, options.overrides)
        again, cached = run(options.storage, cluster.address, options.overrides)
    folder = open_folder("paper-mini", str(options.storage))
    rows = folder.grid()
    measured = {
        "exit codes": [code, again],
        "minutes": round(seconds / 60, 1),
        "cached run, seconds": round(cached, 1),
        "most memory, GiB": round(watch.memory, 2),
        "most trials at a time": watch.trials,
        "cells": len({row.cell for row in rows}),
        "pairs": len(rows),
        "pairs without results": sum(not made for made in folder.store.survey([row.results for row in rows]).values()),
        "accelerators": accelerators_by_group(folder),
        "GPU-hours": {name: round(hours, 3) for name, hours in folder.ledger().by_accelerator().items()},
        "attempts above one": sum(one.attempt > 1 for one in folder.activities().values()),
    }
    print(json.dumps(measured, indent=2))
    sys.exit(code)


if __name__ == "__main__":
    main()
