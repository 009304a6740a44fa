"""Generation through Ray Data: one pipeline a cell over all its test sets, a pool of actors with one model each."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

from raysweep.engine.base import Block, GenerateJob
from raysweep.engine.cluster import Placement
from raysweep.engine.local import make_generator
from raysweep.errors import RaysweepError
from raysweep.records import Completion


class GenerationActor:
    """Holds one loaded model; Ray Data calls it with the number of a batch."""

    def __init__(self, job: GenerateJob) -> None:
        self._job = job
        self._generator = make_generator(job)

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Complete batches; their numbers travel along, since Data keeps no order."""
        made = [pickle.dumps(self._generator.generate(self._job.batches[int(at)])) for at in rows["at"]]
        return {"at": rows["at"], "completions": made}


def generate_with_ray(job: GenerateJob, placement: Placement, actors: int) -> Iterator[Block[Completion]]:
    """Yield the completions of each batch as it is made.

    Raises:
        RaysweepError: not all batches came back.
    """
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    total = len(job.batches)
    made = ray.data.from_items([{"at": at} for at in range(total)], override_num_blocks=total).map_batches(
        type(f"generate {job.label.replace('.', '-')}", (GenerationActor,), {}),  # in Ray's dashboard
        fn_constructor_args=(job,),
        compute=ray.data.ActorPoolStrategy(size=min(actors, total)),
        batch_size=1,
        num_cpus=0 if placement.in_trial else placement.cpus,  # in the trial's process: it lends its CPU and waits
        num_gpus=placement.gpus or None,
        **placement.remote_options,
    )
    found = set()
    for rows in made.iter_batches(batch_size=None, prefetch_batches=0):
        for at, completions in zip(map(int, rows["at"]), rows["completions"], strict=True):
            if at not in found:  # a batch whose actor died after it was made is made again
                found.add(at)
                yield Block(at, pickle.loads(completions))
    if len(found) != total:
        raise RaysweepError(f"generation returned {len(found)} of {total} batches")
