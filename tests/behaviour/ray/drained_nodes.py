"""Trainings and hosts on simulated spot machines, whose nodes are drained or just lost.

Nodes are drained as `raysweep watch-spot` does it, and go as soon as a checkpoint is saved.
"""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raysweep_extra.steady import Steady, make_base

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.config.resources import ResourcesConfig
from raysweep.config.schema import RayConfig
from raysweep.engine.attempts import with_retries
from raysweep.engine.base import EngineSettings, GenerateJob, Stages, Task, TrainingRun
from raysweep.engine.progress import ProgressFile, read_activity
from raysweep.engine.ray.cluster.local_nodes import LocalNode
from raysweep.planning.predictions.needs import CellNeeds, Needs
from raysweep.programs import DEFAULT_SANDBOX
from raysweep.records import Decoding, GenerationRequest, ModelRef, Recovery, Spec, TrainingRow
from raysweep.rows.parquet import write_rows
from raysweep.storage.files import Files
from raysweep.storage.store import Store
from raysweep.trainers.base import Objective, Recipe, Services, TrainJob
from tests.patience import eventually
from tests.services import FolderServices
from tests.small_ray import Node, SmallRay
from tests.tiny import training_rows

NOTICE_SECONDS = 900
"""Nothing waits for its end: a node goes once a checkpoint is saved."""
STEPS = 200
"""With the pauses after the first ones, minutes for a notice to arrive."""
FIRST = 10
"""Steps that a training takes before anything happens to its nodes."""
SPOT = {"spot": 1.0}
"""What a spot machine has room for: one training worker, or one trial."""


class Held(Steady):
    """A training that waits after some steps until its node is drained or gone, and then takes its time.

    After the checkpoint that it saves for a notice, it takes a step that lasts until its node has gone. The process
    that resumes it takes its steps without waiting.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.is_first, self.has_saved = folder, not (folder / "gone").exists(), False

    def train(self, job: TrainJob, services: Services) -> dict[str, Any]:
        """See `Steady`."""
        self.services = services
        return super().train(job, services)

    def step(self, weights: bytes, step: int, rows: Sequence[TrainingRow], objective: Objective) -> bytes:
        """Take a step, wait after `FIRST` of them, and take time from then on."""
        after = super().step(weights, step, rows, objective)
        if self.services.rank == 0:
            with (self.folder / "steps").open("a") as file:
                file.write(f"{os.getpid()} {step}\n")
        if not self.is_first:
            return after
        if step == FIRST:
            (self.folder / "waits").touch()
            assert eventually((self.folder / "drained").exists)
        if step > FIRST:
            time.sleep(1.5)
        if self.has_saved and self.services.rank == 0:
            assert eventually(lambda: False)
        return after

    def save(self, weights: bytes, step: int, services: Services, losses: list[list[float]]) -> None:
        """Save a checkpoint, and remember that one was saved for a notice."""
        super().save(weights, step, services, losses)
        self.has_saved = step >= FIRST


def job_of(folder: Path, workers: int, every: int) -> TrainJob:
    recipe = Recipe("steady", "paced", steps=STEPS, batch_size=8, template="raw", workers=workers)
    out = folder / f"out-{workers}"
    return TrainJob(ModelRef(str(folder / "base")), "steady", recipe, folder / "rows.parquet", out, 7, "base", every)


def train(job: TrainJob, folder: Path | None, services: Services) -> dict[str, Any]:
    """Train on one worker; return the counts, the weights among them. `folder`: where it waits, None: it doesn't."""
    return (Held(folder) if folder else Steady()).train(job, services)


def run_task(name: str, folder: Path, job: TrainJob, retries: int, stages: Stages) -> Mapping[str, float]:
    """Train as a cell does, with so many retries."""
    own = folder / name
    progress = ProgressFile(Files(str(folder / "sweep" / "progress")), name)
    work = functools.partial(train, job, own)
    run = TrainingRun(work, Files(str(own / "work")), job.recipe.workers, name, str(folder / "store"), DEFAULT_SANDBOX)
    with progress.running("starting"):
        counts = with_retries(lambda: stages.train(run, progress), progress, Recovery(retries, 0.1, 0, True))
    (own / "counts.json").write_text(json.dumps(counts))
    return {"steps": float(counts["steps"])}


class SpotNodes:
    """Nodes beside a Ray's head with room for one process each; others that only wait run on the head."""

    def __init__(self, ray: SmallRay) -> None:
        self.ray = ray
        self.added: dict[str, Node] = {}

    def __enter__(self) -> SpotNodes:
        for _ in range(3):
            self.add()
        return self

    def __exit__(self, *exception: object) -> None:
        for node in self.added.values():
            self.ray.remove(node)

    def add(self) -> None:
        """Add a node."""
        node = self.ray.add(resources=SPOT, labels={ACCELERATOR_LABEL: "pretended"})
        self.added[node.id] = node

    def drain(self, node: str) -> None:
        """Announce that a node goes."""
        LocalNode(node, self.ray.address, 0).drain(time.time() + NOTICE_SECONDS, "spot")

    def lose(self, node: str) -> None:
        """Take a node away."""
        self.ray.lose(self.added[node])


@contextmanager
def taken_back(spot: SpotNodes, folder: Path, name: str, *, drains: bool) -> Iterator[None]:
    """Take back the node of a training's first worker while the block runs, with notice or without; then add one."""

    progress = Files(str(folder / "sweep" / "progress"))

    def run() -> None:
        wait((folder / name / "waits").exists)
        nodes = (folder / "sweep" / "progress" / f"{name}.nodes").read_text().split()
        node = nodes[min(1, len(nodes) - 1)]  # the task's own is the first, that of the first worker the second
        if drains:
            spot.drain(node)
            (folder / name / "drained").touch()
            wait(lambda: "checkpoint saved at step" in str(read_activity(progress, name)))
        (folder / name / "gone").touch()
        spot.lose(node)

    def wait(holds: Callable[[], bool]) -> None:
        assert eventually(lambda: holds() or over.is_set())
        activity = read_activity(progress, name)
        assert not over.is_set(), f"the training has ended before: {activity and activity.error}"

    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(run)
        try:
            yield
        finally:
            over.set()
        done.result()
    spot.add()


def trained_and_generated(ray: SmallRay, folder: Path, *, with_workers: bool) -> dict[str, Any]:
    """Train on workers and in a trial, drained and lost, and generate beside a drained node; return what happened.

    With workers a training of two comes first. The result has, for each training, what it did, and on which nodes the
    hosts were.
    """
    make_base(folder / "base")
    write_rows(folder / "rows.parquet", TrainingRow, training_rows(), ["row_id"])
    Store(folder / "store").require_writable()
    from raysweep.engine.ray.engine import RayEngine

    files = Files(str(folder / "sweep"))
    settings = EngineSettings(ResourcesConfig(), RayConfig(), Recovery(0, 0.1, 0, True), files, (), ray.address)
    found: dict[str, Any] = {"first": FIRST, "notice": NOTICE_SECONDS}
    with SpotNodes(ray) as spot, RayEngine(settings) as engine:
        for name, workers, every, drains in [
            *([("workers", 2, 1000, True)] if with_workers else []),
            ("trial", 1, 1000, True),
            ("lost", 1, 4, False),
        ]:
            (folder / name).mkdir()
            needs = Needs(1, custom=SPOT)
            run = functools.partial(run_task, name, folder, job_of(folder, workers, every), int(not drains))
            task = Task(name, run, CellNeeds(needs, Needs(), Needs(), workers, in_trial=workers == 1))
            with taken_back(spot, folder, name, drains=drains):
                errors = engine.run_cells([task])
            found[name] = result_of(folder, name, errors)
        found["alone"] = train(job_of(folder, 1, 0), None, FolderServices())
        found["hosts"] = hosts(spot, folder)
        found["drained"], found["new"] = found["hosts"][0], nodes_of_new_processes()
    return found


def result_of(folder: Path, name: str, errors: Mapping[str, str]) -> dict[str, Any]:
    """Return what a training did: its counts, the steps of each of its processes, what was told."""
    activity = read_activity(Files(str(folder / "sweep" / "progress")), name)
    assert activity is not None
    counts, log = folder / name / "counts.json", folder / name / "steps"
    steps: dict[str, list[int]] = {}
    for line in log.read_text().splitlines() if log.exists() else ():
        process, step = line.split()
        steps.setdefault(process, []).append(int(step))
    return {
        **(json.loads(counts.read_text()) if counts.exists() else {}),
        "errors": dict(errors),
        "runs": list(steps.values()),
        "attempt": activity.attempt,
        "told": [line.split(" ", 2)[2] for line in activity.tail],
    }


def hosts(spot: SpotNodes, folder: Path) -> list[str]:
    """Generate, drain the host's node and generate again; return the nodes of the first host and of the second."""
    from raysweep.engine.ray.cluster.cluster import Placement
    from raysweep.engine.ray.hosts.generation import generate_with_ray
    from raysweep.engine.ray.hosts.keeper import start_keeper

    model = ModelRef(str(folder / "base"))
    prompts = [GenerationRequest(f"{n}", f"t{n}", f"prompt {n}", reference=f"    return {n}\n") for n in range(4)]
    job = GenerateJob("", model, Spec("steady"), Decoding(4), [prompts], None, "cell", base=model)
    keeper, progress = start_keeper({"cell": "base"}), ProgressFile(Files(str(folder)), "cell")
    placement = Placement(1, 0, 0, custom=SPOT, in_trial=False)

    def generated() -> list[str]:
        (output,) = generate_with_ray(job, placement, 1, progress, keeper)
        return [row.text for row in output.rows]

    first = generated()
    (node,) = nodes_of_hosts()
    spot.drain(node)
    assert eventually(lambda: not nodes_of_hosts())  # it is idle, so that it ends
    assert generated() == first
    return [node, *nodes_of_hosts()]


def nodes_of_new_processes() -> list[str]:
    """Return the nodes to which Ray gives actors that hold nothing, and those of which raysweep itself thinks.

    For a quarter of a minute Ray takes a lost node for alive and may place an actor there: it begins again elsewhere.
    """
    import ray

    from raysweep.engine.ray.cluster.cordons import own_node
    from raysweep.engine.ray.cluster.nodes import nodes_by_id

    class Where:
        def node(self) -> str:
            return own_node()

    where: Any = ray.remote(Where).options(num_cpus=0, max_restarts=-1, max_task_retries=-1)
    actors: list[Any] = [where.remote() for _ in range(6)]
    spread: Any = ray.remote(own_node).options(num_cpus=0.1, scheduling_strategy="SPREAD")
    asked = [*(actor.node.remote() for actor in actors), *(spread.remote() for _ in range(6))]
    return [*ray.get(asked), *nodes_by_id()]


def nodes_of_hosts() -> list[str]:
    """Return the nodes of the hosts that are alive."""
    import ray

    actors = ray._private.state.actors().values()
    return [one["Address"]["NodeID"] for one in actors if one["ActorClassName"] == "Host" and one["State"] == "ALIVE"]
