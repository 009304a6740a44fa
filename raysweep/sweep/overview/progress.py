"""How far a running sweep is: models and inputs that are done, and a rough share of the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raysweep.engine.progress import DONE, FAILED, Activity
from raysweep.engine.time_left import MODEL, TimeLeft
from raysweep.sweep.overview.status import ENDED_EARLY, CellStatus
from raysweep.units import duration


@dataclass(frozen=True)
class SweepProgress:
    """Counts of a running sweep."""

    models: tuple[int, int]  # how many of how many are done
    inputs: tuple[int, int]  # likewise, of what models share, such as sets
    failed: int
    share: float  # of the work that is done, roughly
    left: float | None  # seconds; None: unknown
    stages_left: Mapping[str, float]  # seconds of running stages, by task, as far as they are known
    silent: Mapping[str, float] = field(default_factory=dict)  # seconds since the last report of each task

    @property
    def words(self) -> str:
        """What is done and left: ``3 of 12 models and 16 of 16 inputs done``."""
        counted = [(self.models, "models"), (self.inputs, "inputs")]
        done = " and ".join(f"{done} of {total} {what}" for (done, total), what in counted if total)
        return f"{done} done{self.time_left}"

    @property
    def time_left(self) -> str:
        """The time left in words, to be put after a count; empty if it is unknown or below a second."""
        return f", about {duration(self.left)} left" if self.left is not None and self.left >= 1 else ""


def progress_of(
    activities: Mapping[str, Activity], wanted: Sequence[str], left: TimeLeft, *, cached_cells: int = 0
) -> SweepProgress:
    """Count the finished activities among those wanted.

    `left`: has just looked at them. `cached_cells`: how many models were done before, which are not among the tasks.
    """
    done, total = {True: cached_cells, False: 0}, {True: cached_cells, False: 0}
    for name in wanted:
        is_model = bool(MODEL.search(name))
        total[is_model] += 1
        done[is_model] += name in activities and activities[name].state == DONE
    failed = sum(name in activities and activities[name].state == FAILED for name in wanted)
    models, inputs = ((done[is_model], total[is_model]) for is_model in (True, False))
    seconds, by_stage, silent = left.seconds(), left.stage_seconds(), left.silent_seconds()
    return SweepProgress(models, inputs, failed, left.share(), seconds, by_stage, silent)


def with_done(activities: Mapping[str, Activity], cells: Sequence[CellStatus]) -> dict[str, Activity]:
    """Return the activities of a sweep; a cell whose results the store has is done, whatever its activity says."""
    done = {cell.cell: Activity(cell.cell, DONE) for cell in cells if cell.state in (DONE, ENDED_EARLY)}
    return {**activities, **done}
