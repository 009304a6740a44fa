"""The Ray engine's stages against their local twins, on a small Ray with one pretended GPU."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from raysweep.engine.base import ExecuteJob, GenerateJob, PerturbJob, ProgramBatch
from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray import execution, perturbing
from raysweep.engine.ray.cluster.cluster import Placement
from raysweep.engine.ray.execution import ExecutionActor, execute_with_ray
from raysweep.engine.ray.hosts.generation import generate_with_ray
from raysweep.engine.ray.perturbing import _neural_methods, _report_busy_cpus, perturb_with_ray
from raysweep.errors import RaysweepError, UsageError
from raysweep.programs import Lane, Level, Limits, Outcome, Program, Sandbox
from raysweep.records import Decoding, GenerationRequest, SourceRow, Spec
from raysweep.rows.parquet import ROWS, RowWriter
from raysweep.storage.artefacts import Node
from raysweep.storage.files import Files
from raysweep.storage.store import Store
from raysweep.training_sets.base import SOURCES
from tests.clock import Clock
from tests.language.translation.test_neural import fsmt
from tests.patience import eventually

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("connected")]

LIMITS = Limits(timeout=5)
IN_TRIAL = Placement(cpus=1, gpus=0, memory_bytes=0, in_trial=True)
ON_GPU = Placement(cpus=1, gpus=1, memory_bytes=0, in_trial=False)
IN_WORKERS = Placement(cpus=1, gpus=0, memory_bytes=0, in_trial=False)


def job() -> GenerateJob:
    requests = [
        GenerationRequest(f"{n}", f"task/{n}", "p" * (40 - n), reference=f"    return {n}\n") for n in range(23)
    ]
    batches = [requests[at : at + 4] for at in range(0, 23, 4)]
    return GenerateJob("", None, Spec("fake"), Decoding(), batches)


@pytest.mark.parametrize("placement", [IN_TRIAL, ON_GPU], ids=["in the trial", "on a GPU"])
def test_generation_gives_the_local_engines_completions_batch_by_batch(placement, tmp_path):
    progress = ProgressFile(Files(str(tmp_path)), "cell")
    made = {block.index: block.rows for block in generate_with_ray(job(), placement, 1, progress, None)}
    local = {block.index: block.rows for block in LocalStages().generate(job(), progress)}
    assert made == local and len(made) == 6


def perturb_job(tmp_path: Path, *methods: Spec) -> PerturbJob:
    """Return the job of perturbing the first and the last of three blocks of three rows."""
    rows = [{"instruction": f"Return the {n} largest numbers.", "output": ""} for n in range(9)]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    source = Spec("jsonl", {"path": str(tmp_path / "rows.jsonl")})
    store = Store(str(tmp_path / "store"))
    node = Node("source_rows", 1, {"test": 1}, (), "rows")
    with store.writing(node) as draft, RowWriter(draft.folder / ROWS, SourceRow) as writer:
        for at in range(3):
            writer.add(list(SOURCES.create(source).rows())[3 * at : 3 * at + 3])
    return PerturbJob(store.root, node, source, methods, 42, (0, 2))


@pytest.mark.long
def test_perturbing_gives_the_local_engines_rows_and_asks_models_on_accelerators(tmp_path):
    """In small: test_blocks_are_perturbed_again_when_their_process_dies."""
    pytest.importorskip("sacremoses", reason="the tokenizer of FSMT needs sacremoses")
    (tmp_path / "model").mkdir()
    model = fsmt(tmp_path / "model")
    translating = Spec("S1", {"translator": "fsmt", "models": [model, model]})
    job = perturb_job(tmp_path, Spec("C1"), translating, Spec("C1", {"strength": 2}))
    progress = ProgressFile(Files(str(tmp_path)), "set")
    made = {block.index: block.rows for block in perturb_with_ray(job, progress)}
    assert made == {block.index: block.rows for block in LocalStages().perturb(job, progress)}
    assert sorted(made) == [0, 2] and made[0][0] != made[0][2]
    assert _neural_methods(job) == [1]


def test_blocks_are_perturbed_again_when_their_process_dies(tmp_path, monkeypatch):
    in_task = perturbing._perturb_in_task

    def dying_once(rows: dict[str, Any], job: PerturbJob, numbers: Sequence[int]) -> dict[str, Any]:
        if not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return in_task(rows, job, numbers)

    monkeypatch.setattr(perturbing, "_perturb_in_task", dying_once)
    job, progress = perturb_job(tmp_path, Spec("C1")), ProgressFile(Files(str(tmp_path)), "set")
    made = {block.index: block.rows for block in perturb_with_ray(job, progress)}
    assert (tmp_path / "died").exists()
    assert made == {block.index: block.rows for block in LocalStages().perturb(job, progress)}


def test_blocks_that_wait_for_cpus_which_others_hold_are_told(tmp_path, monkeypatch):
    import ray

    monkeypatch.setattr(perturbing, "QUIET_SECONDS", 0)
    progress = ProgressFile(Files(str(tmp_path)), "perturbed-rows")
    progress.update("perturbing", 512, 14000)
    assert eventually(lambda: ray.available_resources().get("CPU", 0) >= 1), "actors of an earlier test held all"
    _report_busy_cpus(progress)
    assert progress.activity.waits == "", "a CPU is free"
    training = Holder.remote(int(ray.cluster_resources()["CPU"]))

    def is_told() -> bool:
        _report_busy_cpus(progress)
        return bool(progress.activity.waits)

    assert eventually(is_told)
    assert progress.latest().waits == "its next block of rows; no CPU is free"
    progress.update("perturbing", 1024, 14000)
    assert progress.activity.waits == ""
    ray.kill(training)


class Holder:
    """An actor that holds CPUs."""

    @staticmethod
    def remote(cpus: int) -> Any:
        import ray

        held = ray.remote(num_cpus=cpus)(Holder).remote()
        ray.get(held.__ray_ready__.remote())
        return held


def programs_in(batches: int, each: int, text: str = "") -> ExecuteJob:
    """Programs of which every third fails, as texts that tell their number."""
    made = [[Program(f"{text}assert {at * each + n} % 3") for n in range(each)] for at in range(batches)]
    sandbox = Sandbox(Lane.STRICT, Level.LIMITS)
    return ExecuteJob([ProgramBatch(batch, [LIMITS] * each) for batch in made], sandbox)


def outcomes(found: dict[int, list[Outcome]]) -> list[Outcome]:
    return [outcome for at in sorted(found) for outcome in found[at]]


def wanted(number: int) -> list[Outcome]:
    return [Outcome.PASSED if n % 3 else Outcome.FAILED for n in range(number)]


@pytest.fixture
def actors(tmp_path, monkeypatch) -> Callable[[], list[psutil.Process]]:
    """Return the processes of this test's execution actors that are alive, at work or not."""
    folder = tmp_path / "actors"
    folder.mkdir()

    class Actor(ExecutionActor):
        def __init__(self, label: str, sandbox: Sandbox) -> None:
            super().__init__(label, sandbox)
            (folder / str(os.getpid())).touch()

    monkeypatch.setattr(execution, "ExecutionActor", Actor)
    return lambda: [psutil.Process(int(file.name)) for file in folder.iterdir() if psutil.pid_exists(int(file.name))]


@pytest.mark.parametrize("actors", [4, None])
def test_execution_gives_verdicts_in_order_though_some_actors_find_no_cpu(actors, tmp_path):
    progress = ProgressFile(Files(str(tmp_path)), "cell")
    made = {block.index: block.rows for block in execute_with_ray(programs_in(10, 13), IN_WORKERS, actors, progress)}
    assert outcomes({at: [row.outcome for row in rows] for at, rows in made.items()}) == wanted(130)


def test_a_pool_grows_while_work_waits_and_cpus_are_free(actors, tmp_path):
    progress = ProgressFile(Files(str(tmp_path)), "grows")
    most, found = 0, {}
    for block in execute_with_ray(programs_in(20, 3, "import time; time.sleep(.1); "), IN_TRIAL, None, progress):
        found[block.index] = [row.outcome for row in block.rows]
        assert eventually(lambda: len(actors()) >= 2), "batches wait for as long as nobody takes the first one"
        most = max(most, len(actors()))
    assert outcomes(found) == wanted(60)
    assert most <= 4, "one on the trial's CPU, two on this Ray's, one that waits"


def test_execution_survives_some_deaths_of_its_actors_and_runs_only_their_batches_again(actors, tmp_path, monkeypatch):
    progress = ProgressFile(Files(str(tmp_path)), "dies")
    job = programs_in(6, 5, "import time; time.sleep(.2); ")
    found: dict[int, list[Outcome]] = {}
    killed = 0
    for block in execute_with_ray(job, IN_TRIAL, 1, progress):
        assert block.index not in found
        found[block.index] = [verdict.outcome for verdict in block.rows]
        for actor in actors() if len(found) in (1, 4) else ():
            actor.kill()
            killed += 1
    assert outcomes(found) == wanted(30)
    notes = [line for line in progress.activity.tail if "execution actor died" in line]
    assert len(notes) == killed >= 2 and all(re.search(r"; (0|5|10) programs run again", line) for line in notes)
    monkeypatch.setattr(execution, "DEATHS", 1)
    with pytest.raises(RaysweepError, match=r"1 execution actors died while they ran the same 5 programs, .* node"):
        for _ in execute_with_ray(job, IN_TRIAL, 1, progress):
            for actor in actors():
                actor.kill()


@pytest.mark.long
def test_without_a_cpu_for_long_an_actor_works_without_one_of_its_own(tmp_path, monkeypatch):
    """In small: test_execution_gives_verdicts_in_order_though_some_actors_find_no_cpu."""
    import ray

    clock, asked, start = Clock(), [], execution._Pool._start

    def starting(pool: execution._Pool, cpus: float) -> None:
        start(pool, cpus)
        asked.append(cpus)
        clock.sleep(execution.PATIENCE_SECONDS + 1 if cpus else 0)  # without CPUs it may start for as long as it takes

    monkeypatch.setattr(execution, "time", clock)
    monkeypatch.setattr(execution._Pool, "_start", starting)
    monkeypatch.setattr(execution, "POLL_SECONDS", 0.5)
    holder = Holder.remote(2)
    progress = ProgressFile(Files(str(tmp_path)), "cell")
    made = {block.index: block.rows for block in execute_with_ray(programs_in(2, 3), IN_WORKERS, None, progress)}
    ray.kill(holder)
    assert len(made) == 2 and asked == [1, 0]


def test_an_error_of_an_actor_comes_as_it_is(tmp_path):
    progress = ProgressFile(Files(str(tmp_path)), "cell")
    job = ExecuteJob([ProgramBatch([Program("", language="cobol")], [LIMITS])], Sandbox(Lane.STRICT, Level.LIMITS))
    with pytest.raises(UsageError, match="cobol") as caught:
        list(execute_with_ray(job, IN_TRIAL, 1, progress))
    assert type(caught.value) is UsageError
