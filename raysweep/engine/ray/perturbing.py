"""Perturbs blocks of rows through Ray Data: first in tasks on free CPUs, then in actors on accelerators.

Methods that use a neural model (`Perturbation.neural`) run in actors with one accelerator each, which load the model
once. On a cluster without accelerators they run in the tasks, with the other methods.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pickle
import time
from collections.abc import Iterator, Sequence
from typing import Any

from raysweep.engine.base import BatchOutput, PerturbJob
from raysweep.engine.jobs import perturb_block
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.batches import collect_results, died_too_often, indexed_dataset, map_result
from raysweep.engine.ray.cluster.cordons import require_open_node
from raysweep.engine.ray.cluster.ray_lost import end_with_raylet
from raysweep.engine.ray.numbers.held import held_resources
from raysweep.periodic import run_periodically
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.records import PerturbedRow

QUIET_SECONDS = 30.0
"""A wait for the next block is reported after so long."""
POLL_SECONDS = 5.0


def perturb_with_ray(job: PerturbJob, progress: ProgressFile) -> Iterator[BatchOutput[Sequence[PerturbedRow]]]:
    """Yield each block's rows, a sequence for each method; raise RaysweepError if one failed or blocks are missing."""
    import ray

    data = indexed_dataset(job.blocks, result=[pickle.dumps({})] * len(job.blocks))
    accelerators = int(ray.cluster_resources().get("GPU", 0))
    on_accelerators = _neural_methods(job) if accelerators else []
    others = [number for number in range(len(job.methods)) if number not in on_accelerators]
    if others:
        data = data.map_batches(_perturb_in_task, fn_args=(job, others), batch_size=1, num_cpus=1)
    if on_accelerators:
        data = data.map_batches(
            PerturbingActor,
            fn_constructor_args=(job, on_accelerators, progress),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=accelerators),
            batch_size=1,
            num_gpus=1,
        )
    if others and ray.available_resources().get("CPU", 0) < 1:
        progress.report_wait("a free CPU")  # until its first block is done
    with run_periodically(functools.partial(_report_busy_cpus, progress), POLL_SECONDS, "perturbing"):
        for index, rows in collect_results(data, len(job.blocks), "perturbing"):
            yield BatchOutput(index, [rows[number] for number in range(len(job.methods))])


def _report_busy_cpus(progress: ProgressFile) -> None:
    """A block takes seconds, so its own tasks seldom hold the CPUs for long: a training may."""
    import ray

    activity = progress.activity
    if not activity.waits and time.time() - activity.updated >= QUIET_SECONDS:
        with contextlib.suppress(Exception):  # Ray may be ending, and this is news only
            if ray.available_resources().get("CPU", 0) < 1:
                progress.report_wait("its next block of rows; no CPU is free")


class PerturbingActor:
    """Perturbs rows on an accelerator, and keeps the models that it has loaded."""

    def __init__(self, job: PerturbJob, numbers: Sequence[int], progress: ProgressFile) -> None:
        require_open_node()
        self._job, self._numbers = job, numbers
        self._failure = died_too_often("a perturbing actor", progress)
        end_with_raylet()
        self._held = contextlib.ExitStack()
        self._held.enter_context(held_resources(progress.activity.id))

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        if self._failure is not None:
            return {"index": rows["index"], "result": [self._failure] * len(rows["index"])}
        return _perturb(rows, self._job, self._numbers)


def _neural_methods(job: PerturbJob) -> list[int]:
    return [number for number, method in enumerate(job.methods) if PERTURBATIONS.create(method).neural]


def _perturb_in_task(rows: dict[str, Any], job: PerturbJob, numbers: Sequence[int]) -> dict[str, Any]:
    require_open_node()
    with held_resources(""):
        return _perturb(rows, job, numbers)


def _perturb(rows: dict[str, Any], job: PerturbJob, numbers: Sequence[int]) -> dict[str, Any]:
    part = dataclasses.replace(job, methods=[job.methods[number] for number in numbers])

    def add(index: int, done: dict[int, Sequence[PerturbedRow]]) -> dict[int, Sequence[PerturbedRow]]:
        return {**done, **dict(zip(numbers, perturb_block(part, index), strict=True))}

    blocks = zip(map(int, rows["index"]), rows["result"], strict=True)
    results = [map_result(pickled, functools.partial(add, index)) for index, pickled in blocks]
    return {"index": rows["index"], "result": results}
