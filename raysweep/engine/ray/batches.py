"""Sends batches through Ray Data by their indices and yields each batch's result once, in any order.

The Datasets have two columns: ``index``, and ``result``, a pickled result or `BatchFailure`.
"""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster.cordons import outside_cordons
from raysweep.engine.ray.cluster.drains import excuse_for
from raysweep.errors import HopelessError, RaysweepError, UnfitModel


@dataclass(frozen=True)
class BatchFailure:
    """The error that made a batch fail, in a form that any process can unpickle.

    `is_harmless`: the process that met it is as good as before.
    """

    text: str
    retry: bool
    trace: str
    is_harmless: bool = False

    @staticmethod
    def of(error: Exception) -> BatchFailure:
        text = str(error) if isinstance(error, RaysweepError) else f"{type(error).__name__}: {error}"
        retry, is_harmless = bool(getattr(error, "retry", True)), isinstance(error, UnfitModel)
        return BatchFailure(text, retry, traceback.format_exc(), is_harmless)

    @property
    def error(self) -> RaysweepError:
        """An error with the same text, retryable if the original was, and the traceback as a note."""
        error = RaysweepError(self.text) if self.retry else HopelessError(self.text)
        error.add_note(self.trace)
        return error


MAX_RESTARTS = 3
"""How often an actor whose process died works again; Ray Data itself would restart it for ever."""


def died_too_often(worker: str, progress: ProgressFile) -> bytes | None:
    """Return the pickled failure for all batches of this actor if Ray restarted it too often; else None.

    A restart after a drain of its node doesn't count. An actor calls it once, when it starts. Ray Data has no setting
    for it: `ray_remote_args_fn` and further keyword arguments go with Ray 2.64.
    """
    import ray

    context = ray.get_runtime_context()
    before = progress.exchange(f"node-{context.get_actor_id()}", context.get_node_id())
    if not context.was_current_actor_reconstructed or excuse_for(progress, [before]):
        return None
    restarts = progress.count(f"restarts-{context.get_actor_id()}")
    if restarts <= MAX_RESTARTS:
        return None
    text = died_again(worker, restarts)
    return pickle.dumps(BatchFailure(text, retry=True, trace=text))


def died_again(worker: str, times: int) -> str:
    return f"the process of {worker} died {times} times; was memory short?"


def indexed_dataset(indices: Sequence[int], **columns: Sequence[Any]) -> Any:
    """Return a Dataset with a row, in a block of its own, for each index, and without progress bars."""
    import ray

    os.environ.setdefault("RAY_DATA_USAGE_DISABLED", "1")  # an actor and threads that look for a Prometheus server
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.label_selector = outside_cordons({}) or None
    rows = [
        {"index": index, **{name: values[number] for name, values in columns.items()}}
        for number, index in enumerate(indices)
    ]
    return ray.data.from_items(rows, override_num_blocks=len(rows))


def pickle_result(function: Callable[[], Any]) -> bytes:
    """Call a function; return its pickled result, or the pickled `BatchFailure` of its error."""
    try:
        return pickle.dumps(function())
    except Exception as error:
        return pickle.dumps(BatchFailure.of(error))


def unpickled(pickled: bytes) -> Any:
    """Return a pickled result; raise the error of a pickled `BatchFailure`."""
    result = pickle.loads(pickled)
    if isinstance(result, BatchFailure):
        raise result.error
    return result


def map_result(pickled: bytes, function: Callable[[Any], Any]) -> bytes:
    """Apply a function to a pickled result and pickle the outcome; pass failures through."""
    result = pickle.loads(pickled)
    return pickled if isinstance(result, BatchFailure) else pickle_result(lambda: function(result))


def collect_results(data: Any, total: int, stage: str) -> Iterator[tuple[int, Any]]:
    """Run a Dataset and yield each row's index and result; raise RaysweepError if a batch failed or is missing."""
    seen = set()
    for rows in data.iter_batches(batch_size=None, prefetch_batches=0):
        for index, pickled in zip(map(int, rows["index"]), rows["result"], strict=True):
            if index not in seen:  # Data repeats a batch if its actor dies after returning it
                seen.add(index)
                yield index, unpickled(pickled)
    if len(seen) != total:
        raise RaysweepError(f"{stage} returned {len(seen)} of {total} batches")
