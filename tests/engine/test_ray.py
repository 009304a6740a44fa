"""The Ray engine's stages against their local twins, on a small Ray with one pretended GPU."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

from raysweep.engine.base import GenerateJob
from raysweep.engine.cluster import Placement
from raysweep.engine.execution import execute_with_ray
from raysweep.engine.generation import generate_with_ray
from raysweep.engine.local import LocalStages
from raysweep.records import Decoding, GenerationRequest, Limits, Outcome, Program, Spec

pytestmark = pytest.mark.ray

IN_TRIAL = Placement(cpus=1, gpus=0, memory_bytes=0, in_trial=True)
ON_GPU = Placement(cpus=1, gpus=1, memory_bytes=0, in_trial=False)
IN_WORKERS = Placement(cpus=1, gpus=0, memory_bytes=0, in_trial=False)


@pytest.fixture(scope="module", autouse=True)
def small_ray():
    os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray

    folder = tempfile.mkdtemp(prefix="rs-", dir="/tmp")  # AF_UNIX paths must stay short
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=1,
        object_store_memory=100 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=folder,
    )
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def job() -> GenerateJob:
    requests = [
        GenerationRequest(str(n), f"task/{n}", "p" * (40 - n), reference=f"    return {n}\n") for n in range(23)
    ]
    return GenerateJob(None, Spec("fake"), Decoding(), requests, batch_size=4)


def nothing(done: int, total: int, detail: str) -> None:
    """Take progress and tell nobody."""


@pytest.mark.parametrize("placement", [IN_TRIAL, ON_GPU], ids=["in the trial", "on a GPU"])
def test_generation_gives_the_local_engines_completions_in_order(placement):
    told = []
    made = generate_with_ray(job(), lambda done, total, _: told.append((done, total)), placement, actors=1)
    assert made == LocalStages().generate(job(), nothing)
    assert told[-1] == (23, 23)


@pytest.mark.parametrize(("placement", "actors"), [(IN_TRIAL, 1), (IN_WORKERS, 4)])
def test_execution_gives_verdicts_in_order_though_some_actors_find_no_cpu(placement, actors):
    programs = [Program(f"assert {n} % 3") for n in range(130)]
    verdicts = execute_with_ray(programs, Limits(cpu_seconds=5), nothing, placement, actors)
    wanted = [Outcome.PASSED if n % 3 else Outcome.FAILED for n in range(130)]
    assert [verdict.outcome for verdict in verdicts] == wanted
