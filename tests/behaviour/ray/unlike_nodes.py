"""Runs cells that wait on a Ray of three unlike nodes, whose accelerators are only counted; prints where each ran.

    python -m tests.behaviour.ray.unlike_nodes FOLDER

FOLDER is for Ray's files, too; its path must be short. One JSON object comes out: for each cell the label of its node,
when it began and when it ended, in seconds.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.config.resources import ResourcesConfig
from raysweep.config.schema import RayConfig
from raysweep.engine.base import EngineSettings, Stages, Task
from raysweep.planning.needs import CellNeeds, Needs
from raysweep.records import Recovery
from raysweep.storage.files import Files
from tests.patience import eventually

GPUS = {"A100": 2, "V100": 1}
HOURS = (1, 3, 2)
NODE: dict[str, Any] = {"num_cpus": 4, "object_store_memory": 10**8, "include_dashboard": False}


def main(folder: Path) -> None:
    """Run three cells on each type of accelerator, one whose stages name two types, and one on CPUs."""
    (folder / "ray").mkdir(parents=True)
    os.environ |= {"RAY_TMPDIR": str(folder), "RAY_AUTH_MODE": "disabled"}
    from ray.cluster_utils import Cluster

    from raysweep.engine.ray.tuning import RayEngine

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    for kind, gpus in GPUS.items():
        label = {ACCELERATOR_LABEL: kind}
        cluster.add_node(num_gpus=gpus, labels=label, **NODE)
    tasks = [task(folder, kind, hours) for hours in HOURS for kind in GPUS]
    tasks += [task(folder, "", 1), split(folder)]
    files = Files(str(folder / "sweep"))
    settings = EngineSettings(ResourcesConfig(), RayConfig(), Recovery(0, 0, 0, True), files, (), cluster.address)
    with RayEngine(settings) as engine:
        engine.check(tasks)
        errors = engine.run_cells(tasks)
    cluster.shutdown()
    ran = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.ran")}
    print(json.dumps({"errors": errors, "ran": ran}))


def task(folder: Path, kind: str, hours: float) -> Task:
    """Return a cell that waits in its trial's process, on one accelerator of a type."""
    needs = Needs(1, 1 if kind else 0, labels={ACCELERATOR_LABEL: kind} if kind else {})
    name = f"{kind or 'CPU'}-{hours}"
    run = functools.partial(wait, folder / f"{name}.ran", kind)
    return Task(name, run, CellNeeds(needs, needs, Needs(), 1, in_trial=True), hours={kind: hours})


def split(folder: Path) -> Task:
    """Return a cell that no type can hold: it trains where bf16 is, which V100 hasn't, and would generate on a V100."""
    training, generation = Needs(1, 1, in_bf16=True), Needs(1, 1, labels={ACCELERATOR_LABEL: "V100"})
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
