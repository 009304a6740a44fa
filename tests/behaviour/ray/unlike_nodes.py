"""Cells that wait on the accelerators of unlike nodes, and write down where each ran.

Each writes the label of its node, when it began and when it ended, in seconds.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping
from pathlib import Path

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.base import Stages, Task
from raysweep.planning.predictions.needs import CellNeeds, Needs
from tests.patience import eventually

GPUS = {"A100": 2, "V100": 1}
HERE = {"unlike": 1.0}
"""What these nodes have, unlike the head, whose GPU has no label, so that bf16 may be there."""
HOURS = (1, 3, 2)


def cells_of_all_kinds(folder: Path) -> list[Task]:
    """Return three cells for each type of accelerator, one whose stages name two types, and one for CPUs."""
    tasks = [task(folder, kind, hours) for hours in HOURS for kind in GPUS]
    return [*tasks, task(folder, "", 1), split(folder)]


def task(folder: Path, kind: str, hours: float) -> Task:
    """Return a cell that waits in its trial's process, on one accelerator of a type."""
    needs = Needs(1, 1 if kind else 0, labels={ACCELERATOR_LABEL: kind} if kind else {})
    name = f"{kind or 'CPU'}-{hours}"
    run = functools.partial(wait, folder / f"{name}.ran", kind)
    return Task(name, run, CellNeeds(needs, needs, Needs(), 1, in_trial=True), hours={kind: hours})


def split(folder: Path) -> Task:
    """Return a cell that no type can hold: it trains where bf16 is, which V100 hasn't, and would generate on a V100."""
    training = Needs(1, 1, in_bf16=True, custom=HERE)
    generation = Needs(1, 1, labels={ACCELERATOR_LABEL: "V100"})
    run = functools.partial(wait, folder / "A100-split.ran", "A100")
    return Task("A100-split", run, CellNeeds(training, generation, Needs(), 1, in_trial=True), hours={"A100": 1})


def wait(path: Path, kind: str, stages: Stages) -> Mapping[str, float]:
    """Note where and when a cell runs; on an A100 it runs until the V100 is free while cells wait for the A100s."""
    import ray

    began = time.time()
    if kind == "A100":
        assert eventually(lambda: all((path.parent / f"V100-{hours}.ran").exists() for hours in HOURS))
    time.sleep(1)
    here = next(node for node in ray.nodes() if node["NodeID"] == ray.get_runtime_context().get_node_id())
    path.write_text(json.dumps([here["Labels"].get(ACCELERATOR_LABEL, ""), began, time.time()]))
    return {"seconds": time.time() - began}
