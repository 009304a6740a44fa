"""Has Tune start cells when and in the order in which the keeper of the hosts says."""

from __future__ import annotations

import logging
from typing import Any

from typing_extensions import override

from raysweep.engine.ray.hosts.keeper import UNKNOWN
from raysweep.engine.ray.numbers import meter
from raysweep.errors import RaysweepError

log = logging.getLogger("raysweep")


class Turns:
    """Asks the keeper of the hosts which cell is next.

    `is_capped`: no cell starts once the sweep has used its GPU-hours.
    """

    def __init__(self, keeper: Any, total: int, is_capped: bool) -> None:
        self._keeper, self._total, self._is_capped = keeper, total, is_capped
        self._started: dict[str, str] = {}  # pools by cell
        self._ended: list[str] = []

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what ends with this process: Tune stores this object with its results."""
        return {**self.__dict__, "_keeper": None}

    @property
    def is_over(self) -> bool:
        """Whether no further cell will start; raises RaysweepError while the GPU-hours used aren't known."""
        return len(self._started) == self._total or bool(self._is_capped and meter.spent())

    def next(self) -> tuple[str, str] | None:
        import ray

        turn = ray.get(self._keeper.next_cell.remote(len(self._started)))
        if turn == UNKNOWN:
            ray.get(self._keeper.restart.remote(self._started, self._ended))
            return None
        if turn is None:
            return None
        cell, pool = turn
        self._started[cell] = pool
        return cell, pool

    def end(self, cell: str) -> None:
        self._ended.append(cell)


def cell_order(turns: Turns) -> Any:
    from ray.tune.search import Searcher

    class CellOrder(Searcher):  # type: ignore[misc]
        def __init__(self, turns: Turns) -> None:
            super().__init__()
            self._turns = turns
            self._trials: dict[str, str] = {}  # cells by trial

        @override
        def suggest(self, trial_id: str) -> Any:
            try:
                is_over = self._turns.is_over
            except RaysweepError as error:  # Tune asks again
                log.warning("no further cell starts: %s", error)
                return None
            if is_over:
                return Searcher.FINISHED
            turn = self._turns.next()
            if turn is None:
                return None
            self._trials[trial_id], pool = turn
            return {"cell": self._trials[trial_id], "pool": pool}

        @override
        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
            self._turns.end(self._trials[trial_id])

        def save(self, checkpoint_path: str) -> None:
            """Write nothing: what is left is found in the store."""

        @override
        def restore(self, checkpoint_path: str) -> None: ...

    return CellOrder(turns)
