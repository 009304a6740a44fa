"""Has cells run one after another in the same process, which so starts and imports torch and transformers once.

Tune can give the process of a trial that has ended to one that asks for equal resources (`reuse_actors`). Here that is
done only after a cell that succeeded, whose process says that it may go on (`may_go_on`): it hasn't grown much, and its
node isn't drained. A process that gets no cell at once ends, since others may wait for what it holds.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from raysweep.engine.ray.drains import own_notice
from raysweep.machine import resident_bytes

MAY_GO_ON = "process_may_go_on"
"""Metric of a cell that has succeeded: 1 if its process may take another one, else 0."""
MOST_GROWTH = 256 * 2**20
"""A process takes no further cell once it holds so many bytes more than after its first one, on its GPU too.

The first cell is the first one that loaded torch, if any did.
"""
THREAD_SECONDS = "600"
"""So long the thread of the cell before may take to end. It has nothing left to do, but the machine may be busy."""


def may_go_on() -> bool:
    """Release memory that is not in use; return True if this process may take another cell."""
    torch = sys.modules.get("torch")
    gc.collect()
    size = 0
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        size = int(torch.cuda.memory_reserved())
    with contextlib.suppress(AttributeError, OSError):  # a C library other than GNU's
        ctypes.CDLL(None).malloc_trim(0)
    size += resident_bytes()
    return size - _first_sizes.setdefault(torch is not None, size) <= MOST_GROWTH and own_notice() is None


_first_sizes: dict[bool, int] = {}
"""What this process held after its first cell without torch, and after its first one with it."""


def trainable_of(function: Any) -> Any:
    """Return a trainable that Ray's dashboard shows with the name of its process's first cell."""
    from ray.tune.trainable.function_trainable import wrap_function

    class CellTrainable(wrap_function(function)):  # type: ignore[misc]
        def __repr__(self) -> str:
            return f"cell {self.config['cell']}"

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            """Prepare the process for the next cell."""
            from ray.train._internal.session import get_session

            os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", THREAD_SECONDS)
            is_ready = bool(super().reset_config(new_config))
            session = get_session()
            session.iteration, session.time_total, session.last_report_time = 0, 0.0, time.time()
            return is_ready

    return CellTrainable


@contextlib.contextmanager
def reusing_processes() -> Iterator[None]:
    """Have Tune, in this block, reuse processes as this module says."""
    from ray.tune import tune
    from ray.tune.execution.tune_controller import TuneController

    class CellController(TuneController):  # type: ignore[misc]
        _cached_in = 0  # the round in which a process last began to wait for a cell

        def _maybe_cache_trial_actor(self, trial: Any) -> bool:
            """Keep a process for the cell that the keeper of the hosts may start in the next round."""
            if not trial.last_result.get(MAY_GO_ON):
                return False
            self._cached_in = self._iteration
            self._actor_cache.increase_max(trial.placement_group_factory)  # also if others wait for other resources
            is_kept = bool(super()._maybe_cache_trial_actor(trial))
            self._actor_cache.decrease_max(trial.placement_group_factory)
            return is_kept

        def _maybe_add_actors(self) -> None:
            """Give processes to the cells that were started first, which wait for Ray's; Tune prefers new ones."""
            if self._actor_cache.num_cached_objects:
                for trial in sorted(self._pending_trials & self._staged_trials, key=self._trials.index):
                    self._maybe_reuse_cached_actor(trial)
            super()._maybe_add_actors()

        def _cleanup_cached_actors(self, force_all: bool = False) -> None:
            """End processes that got no cell. Tune itself would keep the last one, whoever waits for what it holds."""
            if force_all or self._iteration > self._cached_in + 1:
                super()._cleanup_cached_actors(force_all=True)

        def _actor_failed(self, tracked_actor: Any, exception: Exception) -> None:
            """Start a trial anew whose process died when it should take it over: Tune would call it failed."""
            trial = self._actor_to_trial[tracked_actor]
            if trial in self._resetting_trials:
                self._resetting_trials.discard(trial)
                self._unstage_trial_with_resources(trial)
                self._set_trial_status(trial, "RUNNING")
            super()._actor_failed(tracked_actor, exception)

    tune.TuneController = CellController
    try:
        yield
    finally:
        tune.TuneController = TuneController
