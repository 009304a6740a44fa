"""Perturbing through Ray Data: tasks on whatever CPUs are free, each for one block of a source's rows."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from raysweep.engine.base import Block, PerturbJob
from raysweep.engine.failures import Failure
from raysweep.engine.local import perturbed_block
from raysweep.errors import RaysweepError
from raysweep.records import PerturbedRow


def perturb_with_ray(job: PerturbJob) -> Iterator[Block[Sequence[PerturbedRow]]]:
    """Yield each block's rows as they come, those of the first method first.

    Raises:
        RaysweepError: a method failed, or not all blocks came back.
    """
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    made = ray.data.from_items([{"at": at} for at in job.blocks], override_num_blocks=len(job.blocks)).map_batches(
        _perturb, fn_args=(job,), batch_size=1, num_cpus=1
    )
    found = 0
    for rows in made.iter_batches(batch_size=None, prefetch_batches=0):
        for at, block in zip(map(int, rows["at"]), rows["made"], strict=True):
            texts: list[Sequence[PerturbedRow]] | Failure = pickle.loads(block)
            if isinstance(texts, Failure):
                raise texts.error
            found += 1
            yield Block(at, texts)
    if found != len(job.blocks):
        raise RaysweepError(f"perturbing returned {found} of {len(job.blocks)} blocks")


def _perturb(rows: dict[str, Any], job: PerturbJob) -> dict[str, Any]:
    return {"at": rows["at"], "made": [pickle.dumps(_made(job, int(at))) for at in rows["at"]]}


def _made(job: PerturbJob, at: int) -> list[Sequence[PerturbedRow]] | Failure:
    try:
        return perturbed_block(job, at)
    except Exception as error:
        return Failure.of(error)
