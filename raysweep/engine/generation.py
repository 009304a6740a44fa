"""Generation through Ray Data: one pipeline a cell over all its test sets, a pool of actors with one model each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from raysweep.engine.base import GenerateJob, Tell
from raysweep.engine.cluster import Placement
from raysweep.engine.local import batches, make_generator
from raysweep.errors import RaysweepError
from raysweep.records import Completion


class GenerationActor:
    """Holds one loaded model; Ray Data calls it with blocks of requests."""

    def __init__(self, job: GenerateJob) -> None:
        self._job = job
        self._generator = make_generator(job)

    def __call__(self, block: dict[str, Any]) -> dict[str, Any]:
        """Complete a block; a request's position in the job travels along, since Data keeps no order."""
        made: list[Completion] = []
        for batch in batches(dataclasses.replace(self._job, requests=list(block["request"]))):
            made += self._generator.generate(batch)
        return {"at": block["at"], "completion": _objects(made)}


def generate_with_ray(job: GenerateJob, tell: Tell, placement: Placement, actors: int) -> list[Completion]:
    """Return one completion a request, in the order of the requests."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    rows = [{"at": at, "request": request} for at, request in enumerate(job.requests)]
    blocks = -(-len(rows) // job.batch_size)
    made = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        GenerationActor,
        fn_constructor_args=(dataclasses.replace(job, requests=()),),
        compute=ray.data.ActorPoolStrategy(size=min(actors, blocks)),
        batch_size=job.batch_size,
        num_cpus=0 if placement.in_trial else placement.cpus,  # in the trial's process: it lends its CPU and waits
        num_gpus=placement.gpus or None,
    )
    found: dict[int, Completion] = {}
    for batch in made.iter_batches(batch_size=None, prefetch_batches=0):
        found.update(zip(map(int, batch["at"]), batch["completion"], strict=True))
        tell(len(found), len(rows), "")
    if len(found) != len(rows):
        raise RaysweepError(f"generation returned {len(found)} of {len(rows)} completions")
    return [found[at] for at in range(len(rows))]


def _objects(values: Sequence[Completion]) -> Any:
    import numpy

    column = numpy.empty(len(values), dtype=object)
    column[:] = values
    return column
