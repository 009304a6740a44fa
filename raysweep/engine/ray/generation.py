"""Generates completions through Ray Data: for each cell, one pool of actors that each hold the cell's model."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from raysweep.engine.base import BatchOutput, GenerateJob
from raysweep.engine.jobs import generate, make_generator
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.batches import collect_results, died_too_often, indexed_dataset, pickle_result
from raysweep.engine.ray.cluster import Placement
from raysweep.engine.ray.ray_lost import end_with_raylet
from raysweep.generators.base import Generator
from raysweep.records import Completion


class GenerationActor:
    """Holds one loaded model; Ray Data calls it with the indices of batches."""

    def __init__(self, job: GenerateJob, progress: ProgressFile) -> None:
        self._job = job
        self._progress = progress
        self._generator: Generator | None = None
        self._failure = died_too_often("a generator", progress)
        end_with_raylet()

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Complete the prompts of batches."""
        results = [self._failure or pickle_result(functools.partial(self._complete, int(i))) for i in rows["index"]]
        return {"index": rows["index"], "result": results}

    def _complete(self, index: int) -> list[Completion]:
        if self._generator is None:
            self._progress.end_wait()  # the actor was scheduled; from now on a hang counts as a stall
            self._generator = make_generator(self._job)
        return generate(self._generator, self._job.batches[index])


def generate_with_ray(
    job: GenerateJob, placement: Placement, actors: int, progress: ProgressFile
) -> Iterator[BatchOutput[Completion]]:
    """Yield the completions of each batch as soon as it is done.

    Raises:
        RaysweepError: the generator failed, or batches are missing.
    """
    from ray.data import ActorPoolStrategy

    total = len(job.batches)
    data = indexed_dataset(range(total)).map_batches(
        type(f"generate {job.label.replace('.', '-')}", (GenerationActor,), {}),  # in Ray's dashboard
        fn_constructor_args=(job, progress),
        compute=ActorPoolStrategy(size=min(actors, total)),
        batch_size=1,
        num_cpus=0 if placement.in_trial else placement.cpus,  # the trial lends its CPU while it waits
        num_gpus=placement.gpus or None,
        **placement.remote_options,
    )
    for index, completions in collect_results(data, total, "generation"):
        yield BatchOutput(index, completions)
