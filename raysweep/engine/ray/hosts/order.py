"""Has Tune start cells when and in the order in which the keeper of the hosts says."""

from __future__ import annotations

import logging
from typing import Any

from raysweep.engine.ray.hosts.keeper import UNKNOWN
from raysweep.engine.ray.numbers import meter
from raysweep.errors import RaysweepError

log = logging.getLogger("raysweep")


def cell_order(keeper: Any, total: int, is_capped: bool) -> Any:
    """Return a Tune search algorithm that asks the keeper for the next cell; its configs have a cell and its pool.

    Args:
        keeper: of the sweep's hosts.
        total: number of cells.
        is_capped: no cell starts once the sweep has used its GPU-hours.
    """
    import ray
    from ray.tune.search import Searcher

    class CellOrder(Searcher):  # type: ignore[misc]
        def __init__(self, keeper: Any) -> None:
            super().__init__()
            self._keeper = keeper
            self._started: dict[str, str] = {}  # pools by cell
            self._trials: dict[str, str] = {}  # cells by trial
            self._ended: list[str] = []

        def __getstate__(self) -> dict[str, Any]:
            """Leave out what ends with this process: Tune stores this object with its results."""
            return {**self.__dict__, "_keeper": None}

        def suggest(self, trial_id: str) -> Any:
            """Return the next cell and its pool; None while none should start."""
            try:
                is_over = len(self._started) == total or bool(is_capped and meter.spent())
            except RaysweepError as error:  # Tune asks again
                log.warning("no further cell starts: %s", error)
                return None
            if is_over:
                return Searcher.FINISHED
            turn = ray.get(self._keeper.next_cell.remote(len(self._started)))
            if turn == UNKNOWN:
                ray.get(self._keeper.restart.remote(self._started, self._ended))
                return None
            if turn is None:
                return None
            cell, pool = turn
            self._started[cell], self._trials[trial_id] = pool, cell
            return {"cell": cell, "pool": pool}

        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
            """Take note that a cell has ended, well or not."""
            self._ended.append(self._trials[trial_id])

        def save(self, checkpoint_path: str) -> None:
            """Write nothing: what is left is found in the store."""

        def restore(self, checkpoint_path: str) -> None:
            """Read nothing."""

    return CellOrder(keeper)
