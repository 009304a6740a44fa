"""Numbered batches through Ray Data: they go in as numbers, and what was made of each comes back once, in any order."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from raysweep.engine.failures import Failure
from raysweep.errors import RaysweepError

RESTARTS = 3
"""Times that an actor of Ray Data whose process died is started again before the attempt has failed; else for ever."""


def numbered(numbers: Sequence[int], **fields: Any) -> Any:
    """Return a Dataset with a row, and a block, for each number: ``at`` and these fields. It shows no progress."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return ray.data.from_items([{"at": at, **fields} for at in numbers], override_num_blocks=len(numbers))


def restarting() -> dict[str, Any]:
    """Return the options of actors that Ray Data shall not start again for ever."""
    return {"max_restarts": RESTARTS, "max_task_retries": RESTARTS}


def packed(make: Callable[[], Any]) -> bytes:
    """Return what is made, or why it can't be, for `made_of`."""
    try:
        return pickle.dumps(make())
    except Exception as error:
        return pickle.dumps(Failure.of(error))


def added(packet: bytes, make: Callable[[Any], Any]) -> bytes:
    """Return what is made of an earlier stage's packet; its failure stays."""
    before = pickle.loads(packet)
    return packet if isinstance(before, Failure) else packed(lambda: make(before))


def made_of(data: Any, total: int, who: str, stage: str) -> Iterator[tuple[int, Any]]:
    """Yield (number, what was made of it) from a Dataset's columns ``at`` and ``made``, which is packed.

    Args:
        data: the Dataset.
        total: numbers that went in.
        who: what an actor's process is, for messages.
        stage: what goes on, likewise.

    Raises:
        RaysweepError: a batch could not be made, processes died again and again, or not all batches came back.
    """
    import ray

    found = set()
    try:
        for rows in data.iter_batches(batch_size=None, prefetch_batches=0):
            for at, packet in zip(map(int, rows["at"]), rows["made"], strict=True):
                if at not in found:  # a batch whose actor died after it was made is made again
                    found.add(at)
                    made = pickle.loads(packet)
                    if isinstance(made, Failure):
                        raise made.error
                    yield at, made
    except ray.exceptions.RayActorError as error:
        times = f"{RESTARTS + 1} times"
        raise RaysweepError(f"the process of {who} died {times} at one batch; was its memory short?") from error
    if len(found) != total:
        raise RaysweepError(f"{stage} returned {len(found)} of {total} batches")
