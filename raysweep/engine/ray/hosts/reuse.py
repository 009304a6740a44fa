"""Has cells run one after another in the same process, which so starts and imports torch and transformers once.

Tune can give the process of a trial that has ended to one that asks for equal resources (`reuse_actors`). Here that is
done only after a cell that succeeded, whose process says that it may go on (`may_go_on`): it hasn't grown much, and its
node is neither drained nor cordoned. A process that gets no cell at once ends, since others may wait for what it holds.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from typing_extensions import override

from raysweep.engine.ray.cluster.cordons import own_node, read_cordons
from raysweep.engine.ray.cluster.drains import own_notice
from raysweep.execution.isolation.kernel import return_memory
from raysweep.machine import own_bytes

log = logging.getLogger("raysweep")

MAY_GO_ON = "process_may_go_on"
"""Metric of a cell that has succeeded: 1 if its process may take another one, else 0."""
MOST_GROWTH = 256 * 2**20
"""A process takes no further cell once it holds so many bytes more than after its first one.

The first cell is the first one that loaded torch, if any did. On GPUs, of which the next cell needs the whole memory,
a process may hold so many bytes in all.
"""
THREAD_SECONDS = "600"
"""How long the thread of the cell before may take to end. It has nothing left to do, but the machine may be busy."""
PRIVATE = (
    "_actor_failed",
    "_cleanup_cached_actors",
    "_maybe_add_actors",
    "_maybe_cache_trial_actor",
    "_maybe_reuse_cached_actor",
    "_on_trial_reset",
    "_set_trial_status",
    "_trial_task_failure",
    "_try_recover",
    "_unstage_trial_with_resources",
)
"""Methods of Tune's controller that are replaced or called here, though they are not part of its interface."""


def may_go_on() -> bool:
    """Release memory that is not in use; return True if this process may take another cell."""
    try:
        on_gpus, held = _held()
    except Exception as error:  # such as one that a GPU reports late; the cell has done its work
        log.debug("this process takes no further cell: %s", error)
        return False
    growth = held - _first_sizes.setdefault("torch" in sys.modules, held)
    return max(on_gpus, growth) <= MOST_GROWTH and own_notice() is None and own_node() not in read_cordons().by_node


def _held() -> tuple[int, int]:
    """Release what can be; return the bytes that this process then holds on all GPUs, and of the node's memory."""
    torch, on_gpus = sys.modules.get("torch"), 0
    gc.collect()
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        on_gpus = sum(int(torch.cuda.memory_reserved(index)) for index in range(torch.cuda.device_count()))
    return_memory()
    return on_gpus, own_bytes()


_first_sizes: dict[bool, int] = {}
"""What this process held after its first cell without torch, and after its first one with it."""


def can_reuse() -> bool:
    """Return True if Tune's controller has all that is needed; log a warning if it hasn't."""
    from ray.tune.execution.tune_controller import TuneController

    missing = [name for name in PRIVATE if not hasattr(TuneController, name)]
    if missing:
        log.warning("each cell starts a process of its own: this version of Ray Tune has no %s", ", ".join(missing))
    return not missing


def trainable_of(function: Any) -> Any:
    """Return a trainable that Ray's dashboard shows with the name of its process's first cell."""
    from ray.tune.trainable.function_trainable import wrap_function

    class CellTrainable(wrap_function(function)):  # type: ignore[misc]
        def __repr__(self) -> str:
            return f"cell {self.config['cell']}"

        @override
        def reset_config(self, new_config: dict[str, Any]) -> bool:
            from ray.train._internal.session import get_session

            os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", THREAD_SECONDS)
            is_ready = bool(super().reset_config(new_config))
            session = get_session()
            session.iteration, session.time_total, session.last_report_time = 0, 0.0, time.time()
            return is_ready

    return CellTrainable


@contextlib.contextmanager
def reusing_processes() -> Iterator[None]:
    from ray.tune import tune
    from ray.tune.execution.tune_controller import TuneController

    tune.TuneController = _reusing_controller()
    try:
        yield
    finally:
        tune.TuneController = TuneController


def _reusing_controller() -> Any:
    class ReusingController(_restarting_controller()):  # type: ignore[misc]
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
            """Give free processes to the cells that wait longest; Tune would give them to the newest."""
            if self._actor_cache.num_cached_objects:
                for trial in sorted(self._pending_trials & self._staged_trials, key=self._trials.index):
                    self._maybe_reuse_cached_actor(trial)
            super()._maybe_add_actors()

        def _cleanup_cached_actors(self, force_all: bool = False) -> None:
            """End processes that got no cell. Tune itself would keep the last one, whoever waits for what it holds."""
            if force_all or self._iteration > self._cached_in + 1:
                super()._cleanup_cached_actors(force_all=True)

    return ReusingController


def _restarting_controller() -> Any:
    """Return Tune's controller, which here starts a cell anew that a process could not take over."""
    from ray.tune import TuneError
    from ray.tune.execution.tune_controller import TuneController

    class RestartingController(TuneController):  # type: ignore[misc]
        def _actor_failed(self, tracked_actor: Any, exception: Exception) -> None:
            """Start a trial anew whose process died when it should take it over: Tune would call it failed."""
            self._run_anew(self._actor_to_trial[tracked_actor])
            super()._actor_failed(tracked_actor, exception)

        def _try_recover(self, trial: Any, exc: Any) -> None:
            """Have a trial that starts again ask for nodes that are not cordoned by now."""
            trial.create_placement_group_factory()
            super()._try_recover(trial, exc)

        def _trial_task_failure(self, trial: Any, exception: Exception) -> None:
            """Start a trial anew whose process could not take it over."""
            self._run_anew(trial)
            super()._trial_task_failure(trial, exception)

        def _on_trial_reset(self, trial: Any, success: bool) -> None:
            if success:
                super()._on_trial_reset(trial, success)
            else:
                self._trial_task_failure(trial, TuneError("the process was still at work on its last cell"))

        def _run_anew(self, trial: Any) -> None:
            """Have Tune take a trial that a process was about to take over for one that runs, which it starts anew."""
            if trial in self._resetting_trials:
                self._resetting_trials.discard(trial)
                self._unstage_trial_with_resources(trial)
                self._set_trial_status(trial, "RUNNING")

    return RestartingController
