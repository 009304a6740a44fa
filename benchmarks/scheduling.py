"""Measures in which time a grid of cells ends on a cluster of unlike accelerators, beside the shortest time possible.

    python benchmarks/scheduling.py                      # simulated, without Ray: the study, and 10,000 cells
    python benchmarks/scheduling.py --ray [--seconds 30] # the study's cells sleep on a Ray that counts accelerators

The cells are those of configs/study.yaml; each takes the hours that `raysweep plan` estimates on its accelerator, and
`--seconds` is their mean length on Ray. Each base model runs on one type, `A6000`, `A100` or `V100`, and each type has
as many accelerators as fit to its work: 16 in all, or 1,000 for 10,000 cells. Arms:

- `raysweep`: places are handed out by raysweep/engine/placing/places.py: longest expected cell first in each pool.
- `grid order`: cells start in the grid's order wherever a place of their type is free. Only simulated.
- `plain Tune`: trials that ask for a CPU and a GPU, without order and pins: Tune starts them in the grid's order on any
  accelerator, where they sleep for the hours on that type. Only with `--ray`, after raysweep's arm.

Printed: the makespan divided by its lower bound, the larger of the longest cell and of each type's work divided by its
accelerators; and the share of the accelerators' time in which they are idle before the last cell ends.
"""

from __future__ import annotations

import argparse
import functools
import heapq
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.config.loading import load_config
from raysweep.config.resources import ResourcesConfig
from raysweep.config.schema import RayConfig
from raysweep.engine.base import EngineSettings, Task
from raysweep.engine.placing.cells import CellToPlace
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.placing.places import Places
from raysweep.planning.planner import build_plan
from raysweep.planning.predictions.costs import plan_costs
from raysweep.planning.predictions.needs import CellNeeds, Needs
from raysweep.records import Recovery
from raysweep.storage.files import Files
from raysweep.storage.store import Store

STUDY = Path(__file__).parent.parent / "configs" / "study.yaml"
TYPES = ("A6000", "A100", "V100")
SMALL, LARGE = 16, 1000
HEAD_CPUS = 16
NODE_GPUS = 8
WAIT_SECONDS = 3600


def main() -> None:
    """Run the arms and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    cells = study()
    if options.ray:
        print(json.dumps(on_ray(cells, options.seconds), indent=2))
        return
    rng = random.Random(0)
    many = [
        CellToPlace(f"{n}", cell.needs, {name: hours * rng.uniform(0.8, 1.25) for name, hours in cell.hours.items()})
        for n, cell in enumerate(rng.choices(cells, k=10_000))
    ]
    found = {}
    for name, some, total in (("the study", cells, SMALL), ("10,000 cells", many, LARGE)):
        began, gpus = time.process_time(), balanced(some, total)
        ours = simulated(some, gpus)
        seconds = time.process_time() - began
        ours = {**ours, "CPU seconds of all decisions": round(seconds, 1)}
        found[name] = {"raysweep": ours, "grid order": in_order(some, gpus), "accelerators": gpus}
    print(json.dumps(found, indent=2))


def study() -> list[CellToPlace]:
    """Return the study's cells, each with its hours on all types, and with the one that it may use as its label."""
    missing: list[str] = []
    plan = build_plan(load_config(STUDY, missing=missing), tolerant=True)
    with tempfile.TemporaryDirectory() as folder:
        costs = plan_costs(plan, Store(folder)).cells
    models = list(dict.fromkeys(cell.base.name for cell in plan.cells))
    cells = []
    for cell in plan.cells:
        kind = TYPES[models.index(cell.base.name) % len(TYPES)]
        needs = Needs(1, 1, labels={ACCELERATOR_LABEL: kind})
        hours = {name: costs[cell.cell.id].hours[name] for name in TYPES}
        cells.append(CellToPlace(cell.cell.id, CellNeeds(needs, needs, Needs(), 1, in_trial=False), hours))
    return cells


def nodes_of(gpus: Mapping[str, int]) -> dict[str, NodeFacts]:
    """Return a cluster: nodes with accelerators, and one that holds drivers and executes."""
    nodes = {"head": NodeFacts({"CPU": 64.0})}
    for kind, number in gpus.items():
        for first in range(0, number, NODE_GPUS):
            here = float(min(NODE_GPUS, number - first))
            nodes[f"{kind} {first}"] = NodeFacts({"CPU": 64.0, "GPU": here}, {ACCELERATOR_LABEL: kind})
    return nodes


def balanced(cells: Sequence[CellToPlace], total: int) -> dict[str, int]:
    """Return a number of accelerators of each type, in proportion to its work, at least two."""
    work = dict.fromkeys(TYPES, 0.0)
    for cell in cells:
        work[kind_of(cell)] += length_of(cell)
    return {kind: max(2, round(total * hours / sum(work.values()))) for kind, hours in work.items()}


def length_of(cell: CellToPlace) -> float:
    return cell.hours[kind_of(cell)]


def kind_of(cell: CellToPlace) -> str:
    return cell.needs.training.labels[ACCELERATOR_LABEL]


def bound(cells: Sequence[CellToPlace], gpus: Mapping[str, int]) -> float:
    """Return a time in which no order could end: that of the longest cell, or of a type's whole work."""
    work = dict.fromkeys(gpus, 0.0)
    for cell in cells:
        work[kind_of(cell)] += length_of(cell)
    return max(max(map(length_of, cells)), *(work[kind] / number for kind, number in gpus.items()))


def summary(makespan: float, cells: Sequence[CellToPlace], gpus: Mapping[str, int]) -> dict[str, float]:
    """Return the numbers that an arm prints."""
    idle = 1 - sum(map(length_of, cells)) / (makespan * sum(gpus.values()))
    return {"makespan / bound": round(makespan / bound(cells, gpus), 3), "idle share": round(idle, 3)}


def simulated(cells: Sequence[CellToPlace], gpus: Mapping[str, int]) -> dict[str, float]:
    """Play a sweep in which each decision is raysweep's and cells end after their hours."""
    places, by_id, now = Places(cells), {cell.id: cell for cell in cells}, 0.0
    places.set_nodes(nodes_of(gpus))
    running: list[tuple[float, str]] = []
    started: set[str] = set()
    while True:
        while (turn := places.next_cell()) is not None:
            started.add(turn[0])
        for name in started:
            places.request(name, name, by_id[name].needs.training)
        places.grant()
        for name in [name for name in started if places.is_placed(name)]:
            started.remove(name)
            heapq.heappush(running, (now + length_of(by_id[name]), name))
        if not running:
            return summary(now, cells, gpus)
        now, name = heapq.heappop(running)
        places.end(name)


def in_order(cells: Sequence[CellToPlace], gpus: Mapping[str, int]) -> dict[str, float]:
    """Play a sweep in which cells start in their order as soon as an accelerator of their type is free."""
    free_at = {kind: [0.0] * number for kind, number in gpus.items()}
    for cell in cells:
        heapq.heappush(free_at[kind_of(cell)], heapq.heappop(free_at[kind_of(cell)]) + length_of(cell))
    return summary(max(map(max, free_at.values())), cells, gpus)


def on_ray(cells: Sequence[CellToPlace], mean: float) -> dict[str, Any]:
    """Run the cells on a Ray whose accelerators are only counted. They sleep for `mean` seconds on average."""
    os.environ["RAY_TMPDIR"] = tempfile.mkdtemp(prefix="rs-bench-", dir="/tmp")
    Path(os.environ["RAY_TMPDIR"], "ray").mkdir()
    os.environ["RAY_AUTH_MODE"] = "disabled"
    from ray.cluster_utils import Cluster

    from raysweep.engine.ray.engine import RayEngine

    scale = mean / (sum(map(length_of, cells)) / len(cells))
    scaled = [
        CellToPlace(cell.id, cell.needs, {kind: scale * hours for kind, hours in cell.hours.items()}) for cell in cells
    ]
    own, gpus = {"num_cpus": HEAD_CPUS, "object_store_memory": 100 * 2**20}, balanced(cells, SMALL)
    cluster = Cluster(initialize_head=True, head_node_args=own)
    for kind, number in gpus.items():
        cluster.add_node(num_gpus=number, labels={ACCELERATOR_LABEL: kind}, **own)
    with tempfile.TemporaryDirectory() as folder:
        settings = EngineSettings(
            ResourcesConfig(), RayConfig(), Recovery(0, 0, 0, True), Files(folder), (), cluster.address
        )
        tasks = [
            Task(
                cell.id,
                functools.partial(_sleep, cell=cell.id, kind=kind_of(cell), seconds=length_of(cell)),
                cell.needs,
                hours=cell.hours,
            )
            for cell in scaled
        ]
        with RayEngine(settings) as engine:
            engine.check(tasks)
            began = time.perf_counter()
            with DriverCount() as drivers:
                errors = engine.run_cells(tasks)
            seconds = time.perf_counter() - began
    plain = plain_tune(cluster.address, scaled, gpus)
    cluster.shutdown()
    return {
        "raysweep": {
            **summary(seconds, scaled, gpus),
            "errors": len(errors),
            "seconds": round(seconds, 1),
            "most drivers at a time": drivers.most,
        },
        "plain Tune": plain,
        "accelerators": gpus,
        "accelerators, and one cell that waits for each type": sum(gpus.values()) + len(gpus),
    }


def plain_tune(address: str, cells: Sequence[CellToPlace], gpus: Mapping[str, int]) -> dict[str, Any]:
    """Run the cells as trials of Tune that ask for an accelerator of any type, in a process of its own."""
    hours = {cell.id: dict(cell.hours) for cell in cells}
    with tempfile.TemporaryDirectory() as folder:
        code = PLAIN.format(address=address, hours=hours, folder=folder)
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    measured = json.loads(done.stdout.strip().splitlines()[-1])
    kinds: dict[str, set[str]] = {}
    for cell, kind in measured["kinds"].items():
        kinds.setdefault(cell.partition(".")[0], set()).add(kind)
    busy = sum(hours[cell][kind] for cell, kind in measured["kinds"].items())
    return {
        "makespan / bound": round(measured["seconds"] / bound(cells, gpus), 3),
        "idle share": round(1 - busy / measured["seconds"] / sum(gpus.values()), 3),
        "seconds": round(measured["seconds"], 1),
        "models on several types": sum(len(found) > 1 for found in kinds.values()),
        "models": len(kinds),
    }


PLAIN = """
import json, time
import ray
from ray import tune
HOURS = {hours!r}

def sleeper(config):
    node = next(node for node in ray.nodes() if node["NodeID"] == ray.get_runtime_context().get_node_id())
    kind = node["Labels"]["ray.io/accelerator-type"]
    time.sleep(HOURS[config["cell"]][kind])
    tune.report({{"kind": kind}})

ray.init(address={address!r}, log_to_driver=False, logging_level="ERROR")
began = time.perf_counter()
tuner = tune.Tuner(
    tune.with_resources(sleeper, {{"CPU": 1, "GPU": 1}}),
    param_space={{"cell": tune.grid_search(list(HOURS))}},
    tune_config=tune.TuneConfig(reuse_actors=False),
    run_config=tune.RunConfig(storage_path={folder!r}, verbose=0),
)
results = tuner.fit()
seconds = time.perf_counter() - began
print(json.dumps({{"seconds": seconds, "kinds": {{one.config["cell"]: one.metrics["kind"] for one in results}}}}))
"""


class DriverCount:
    """The most processes of cells at a time: what a cell's trial runs in, at work or waiting for its place."""

    def __init__(self) -> None:
        self.most = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> DriverCount:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(5.0):
            names = [process.info["name"] or "" for process in psutil.process_iter(["name"])]
            self.most = max(self.most, sum(name.startswith("ray::Cell") for name in names))


def _sleep(stages: Any, cell: str, kind: str, seconds: float) -> Mapping[str, float]:
    """Hold an accelerator for so long as a training worker does, of raysweep and of Ray, but start no such process."""
    from ray.util import placement_group, remove_placement_group

    with stages.training_places(cell, 1):
        held = placement_group([{"CPU": 1, "GPU": 1}], bundle_label_selector=[{ACCELERATOR_LABEL: kind}])
        if not held.wait(WAIT_SECONDS):
            raise TimeoutError(f"no {kind} was free for {WAIT_SECONDS} s")
        time.sleep(seconds)
        remove_placement_group(held)
    return {"seconds": seconds}


if __name__ == "__main__":
    main()
