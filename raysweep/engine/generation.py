"""Generation through Ray Data: one pipeline a cell over all its test sets, a pool of actors with one model each."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

from raysweep.engine.base import Block, GenerateJob
from raysweep.engine.cluster import Placement
from raysweep.engine.failures import Failure
from raysweep.engine.local import make_generator
from raysweep.engine.lost import end_with_raylet
from raysweep.errors import RaysweepError
from raysweep.generators.base import Generator
from raysweep.progress import ProgressFile
from raysweep.records import Completion

RESTARTS = 3
"""Times that an actor of Ray Data whose process died is started again before the attempt has failed; else for ever."""


class GenerationActor:
    """Holds one loaded model; Ray Data calls it with the number of a batch."""

    def __init__(self, job: GenerateJob, progress: ProgressFile) -> None:
        self._job = job
        self._progress = progress
        self._generator: Generator | None = None
        end_with_raylet()

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Complete batches; their numbers travel along, since Data keeps no order."""
        return {"at": rows["at"], "completions": [pickle.dumps(self._make(int(at))) for at in rows["at"]]}

    def _make(self, at: int) -> list[Completion] | Failure:
        try:
            if self._generator is None:
                self._progress.go_on()  # the wait for a place is over: from here on a hang counts
                self._generator = make_generator(self._job)
            return self._generator.generate(self._job.batches[at])
        except Exception as error:
            return Failure.of(error)


def generate_with_ray(
    job: GenerateJob, placement: Placement, actors: int, progress: ProgressFile
) -> Iterator[Block[Completion]]:
    """Yield the completions of each batch as it is made.

    Raises:
        RaysweepError: the generator failed, or not all batches came back.
    """
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    total = len(job.batches)
    made = ray.data.from_items([{"at": at} for at in range(total)], override_num_blocks=total).map_batches(
        type(f"generate {job.label.replace('.', '-')}", (GenerationActor,), {}),  # in Ray's dashboard
        fn_constructor_args=(job, progress),
        compute=ray.data.ActorPoolStrategy(size=min(actors, total)),
        batch_size=1,
        num_cpus=0 if placement.in_trial else placement.cpus,  # in the trial's process: it lends its CPU and waits
        num_gpus=placement.gpus or None,
        ray_remote_args_fn=lambda: {"max_restarts": RESTARTS, "max_task_retries": RESTARTS},
        **placement.remote_options,
    )
    found = set()
    try:
        for rows in made.iter_batches(batch_size=None, prefetch_batches=0):
            for at, completions in zip(map(int, rows["at"]), rows["completions"], strict=True):
                if at not in found:  # a batch whose actor died after it was made is made again
                    found.add(at)
                    yield Block(at, _completions(completions))
    except ray.exceptions.RayActorError as error:
        times = f"{RESTARTS + 1} times"
        raise RaysweepError(f"the process of a generator died {times} at one batch; was its memory short?") from error
    if len(found) != total:
        raise RaysweepError(f"generation returned {len(found)} of {total} batches")


def _completions(block: bytes) -> list[Completion]:
    made: list[Completion] | Failure = pickle.loads(block)
    if isinstance(made, Failure):
        raise made.error
    return made
