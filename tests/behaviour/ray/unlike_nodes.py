"""Runs cells that sleep on a Ray of three unlike nodes, whose accelerators are only counted; prints where each ran.

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

from raysweep.config.resources import ACCELERATOR_LABEL, ResourcesConfig
from raysweep.config.schema import RayConfig
from raysweep.engine.attempts import Recovery
from raysweep.engine.base import EngineSettings, Stages, Task
from raysweep.planning.needs import CellNeeds, Needs
from raysweep.storage.files import Files

SECONDS = {"V100": 1.0}
"""How long cells sleep: 3 s, but less on a V100, so that one is free while other cells wait for the A100s."""
GPUS = {"A100": 2, "V100": 1}


def main(folder: Path) -> None:
    """Run three cells on each type of accelerator, one whose stages name two types, and one on CPUs."""
    (folder / "ray").mkdir(parents=True)
    os.environ |= {"RAY_TMPDIR": str(folder), "RAY_AUTH_MODE": "disabled"}
    from ray.cluster_utils import Cluster

    from raysweep.engine.ray.tuning import RayEngine

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "object_store_memory": 10**8})
    for kind, gpus in GPUS.items():
        label = {ACCELERATOR_LABEL: kind}
        cluster.add_node(num_cpus=4, num_gpus=gpus, object_store_memory=10**8, labels=label)
    tasks = [task(folder, kind, hours) for hours in (1, 3, 2) for kind in GPUS]
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
    """Return a cell that sleeps in its trial's process, on one accelerator of a type."""
    needs = Needs(1, 1 if kind else 0, labels={ACCELERATOR_LABEL: kind} if kind else {})
    name = f"{kind or 'CPU'}-{hours}"
    run = functools.partial(sleep, folder / f"{name}.ran", SECONDS.get(kind, 3.0))
    return Task(name, run, CellNeeds(needs, needs, Needs(), 1, in_trial=True), hours={kind: hours})


def split(folder: Path) -> Task:
    """Return a cell that no type can hold: it trains where bf16 is, which V100 hasn't, and would generate on a V100."""
    training, generation = Needs(1, 1, in_bf16=True), Needs(1, 1, labels={ACCELERATOR_LABEL: "V100"})
    run = functools.partial(sleep, folder / "A100-split.ran", 3.0)
    return Task("A100-split", run, CellNeeds(training, generation, Needs(), 1, in_trial=True), hours={"A100": 1})


def sleep(path: Path, seconds: float, stages: Stages) -> Mapping[str, float]:
    """Note where and when a cell runs."""
    import ray

    began = time.time()
    time.sleep(seconds)
    here = next(node for node in ray.nodes() if node["NodeID"] == ray.get_runtime_context().get_node_id())
    path.write_text(json.dumps([here["Labels"].get(ACCELERATOR_LABEL, ""), began, time.time()]))
    return {"seconds": seconds}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
