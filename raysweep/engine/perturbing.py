"""Perturbing through Ray Data: each block of a source's rows passes tasks on free CPUs, then models on accelerators.

Methods that ask a model (`Perturbation.neural`) go to actors with an accelerator each, where the cluster has any: the
model is loaded once an actor. Without one they are made with the others, in the same tasks.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from raysweep.engine.base import Block, PerturbJob
from raysweep.engine.failures import Failure
from raysweep.engine.generation import RESTARTS
from raysweep.engine.local import perturbed_block
from raysweep.engine.lost import end_with_raylet
from raysweep.errors import RaysweepError
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.records import PerturbedRow

_Made = dict[int, Sequence[PerturbedRow]]
"""A block's rows by the number of the method."""


def perturb_with_ray(job: PerturbJob) -> Iterator[Block[Sequence[PerturbedRow]]]:
    """Yield each block's rows as they come, those of the first method first.

    Raises:
        RaysweepError: a method failed, or not all blocks came back.
    """
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    items = [{"at": at, "made": pickle.dumps({})} for at in job.blocks]
    data = ray.data.from_items(items, override_num_blocks=len(items))
    accelerators = int(ray.cluster_resources().get("GPU", 0))
    on_accelerators = _neural(job) if accelerators else []
    others = [number for number in range(len(job.methods)) if number not in on_accelerators]
    if others:
        data = data.map_batches(_perturb, fn_args=(job, others), batch_size=1, num_cpus=1)
    if on_accelerators:
        pool = ray.data.ActorPoolStrategy(min_size=1, max_size=accelerators)
        data = data.map_batches(
            PerturbingActor,
            fn_constructor_args=(job, on_accelerators),
            compute=pool,
            batch_size=1,
            num_gpus=1,
            ray_remote_args_fn=lambda: {"max_restarts": RESTARTS, "max_task_retries": RESTARTS},
        )
    found = set()
    try:
        for rows in data.iter_batches(batch_size=None, prefetch_batches=0):
            for at, block in zip(map(int, rows["at"]), rows["made"], strict=True):
                if at not in found:  # a block whose actor died after it was made is made again
                    found.add(at)
                    yield Block(at, _rows_of(block, len(job.methods)))
    except ray.exceptions.RayActorError as error:
        times = f"{RESTARTS + 1} times"
        raise RaysweepError(f"a process that perturbs died {times} at one block; was its memory short?") from error
    if len(found) != len(job.blocks):
        raise RaysweepError(f"perturbing returned {len(found)} of {len(job.blocks)} blocks")


class PerturbingActor:
    """Has an accelerator, and keeps the models that it has loaded there."""

    def __init__(self, job: PerturbJob, numbers: Sequence[int]) -> None:
        self._job, self._numbers = job, numbers
        end_with_raylet()

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Add to blocks what the actor's methods make of them."""
        return _perturb(rows, self._job, self._numbers)


def _rows_of(block: bytes, methods: int) -> list[Sequence[PerturbedRow]]:
    made: _Made | Failure = pickle.loads(block)
    if isinstance(made, Failure):
        raise made.error
    return [made[number] for number in range(methods)]


def _neural(job: PerturbJob) -> list[int]:
    return [number for number, method in enumerate(job.methods) if PERTURBATIONS.create(method).neural]


def _perturb(rows: dict[str, Any], job: PerturbJob, numbers: Sequence[int]) -> dict[str, Any]:
    """Add to blocks what the methods of these numbers make of them."""
    some = dataclasses.replace(job, methods=[job.methods[number] for number in numbers])
    blocks = zip(map(int, rows["at"]), map(pickle.loads, rows["made"]), strict=True)
    return {"at": rows["at"], "made": [pickle.dumps(_with(made, some, at, numbers)) for at, made in blocks]}


def _with(made: _Made | Failure, job: PerturbJob, at: int, numbers: Sequence[int]) -> _Made | Failure:
    if isinstance(made, Failure):
        return made
    try:
        return {**made, **dict(zip(numbers, perturbed_block(job, at), strict=True))}
    except Exception as error:
        return Failure.of(error)
