"""Perturbing through Ray Data: each block of a source's rows passes tasks on free CPUs, then models on accelerators.

Methods that ask a model (`Perturbation.neural`) go to actors with an accelerator each, where the cluster has any: the
model is loaded once an actor. Without one they are made with the others, in the same tasks.
"""

from __future__ import annotations

import dataclasses
import functools
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from raysweep.engine.base import Block, PerturbJob
from raysweep.engine.batches import added, made_of, numbered, restarting
from raysweep.engine.local import perturbed_block
from raysweep.engine.lost import end_with_raylet
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.records import PerturbedRow


def perturb_with_ray(job: PerturbJob) -> Iterator[Block[Sequence[PerturbedRow]]]:
    """Yield each block's rows as they come, those of the first method first.

    Raises:
        RaysweepError: a method failed, or not all blocks came back.
    """
    import ray

    data = numbered(job.blocks, made=pickle.dumps({}))
    accelerators = int(ray.cluster_resources().get("GPU", 0))
    on_accelerators = _neural(job) if accelerators else []
    others = [number for number in range(len(job.methods)) if number not in on_accelerators]
    if others:
        data = data.map_batches(_perturb, fn_args=(job, others), batch_size=1, num_cpus=1)
    if on_accelerators:
        data = data.map_batches(
            PerturbingActor,
            fn_constructor_args=(job, on_accelerators),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=accelerators),
            batch_size=1,
            num_gpus=1,
            ray_remote_args_fn=restarting,
        )
    for at, made in made_of(data, len(job.blocks), "what perturbs", "perturbing"):
        yield Block(at, [made[number] for number in range(len(job.methods))])


class PerturbingActor:
    """Has an accelerator, and keeps the models that it has loaded there."""

    def __init__(self, job: PerturbJob, numbers: Sequence[int]) -> None:
        self._job, self._numbers = job, numbers
        end_with_raylet()

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Add to blocks what the actor's methods make of them."""
        return _perturb(rows, self._job, self._numbers)


def _neural(job: PerturbJob) -> list[int]:
    return [number for number, method in enumerate(job.methods) if PERTURBATIONS.create(method).neural]


def _perturb(rows: dict[str, Any], job: PerturbJob, numbers: Sequence[int]) -> dict[str, Any]:
    """Add to blocks what the methods of these numbers make of them."""
    some = dataclasses.replace(job, methods=[job.methods[number] for number in numbers])

    def more(at: int, before: dict[int, Sequence[PerturbedRow]]) -> dict[int, Sequence[PerturbedRow]]:
        return {**before, **dict(zip(numbers, perturbed_block(some, at), strict=True))}

    blocks = zip(map(int, rows["at"]), rows["made"], strict=True)
    return {"at": rows["at"], "made": [added(made, functools.partial(more, at)) for at, made in blocks]}
