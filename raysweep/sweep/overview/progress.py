"""How far a running sweep is: models and inputs that are done, and the time left at the pace so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from raysweep.engine.progress import DONE, FAILED, MODEL, RUNNING, STEADY_SECONDS, Activity
from raysweep.sweep.overview.status import ENDED_EARLY, CellStatus
from raysweep.units import duration


@dataclass(frozen=True)
class SweepProgress:
    """Counts of a running sweep."""

    models: tuple[int, int]  # how many of how many are done
    inputs: tuple[int, int]  # likewise, of what models share, such as sets
    failed: int
    left: float | None  # seconds; None: unknown
    silent: Mapping[str, float] = field(default_factory=dict)  # seconds since the last report of each task

    @property
    def share(self) -> float:
        """The share of the models and inputs that has ended."""
        (models, of_models), (inputs, of_inputs) = self.models, self.inputs
        return (models + inputs + self.failed) / max(1, of_models + of_inputs)

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
    activities: Mapping[str, Activity],
    wanted: Sequence[str],
    now: float,
    *,
    cached_cells: int = 0,
    silent: Mapping[str, float] | None = None,
) -> SweepProgress:
    """Count the finished activities among those wanted.

    `now`: seconds since the epoch. `cached_cells`: how many models were done before, which are not among the tasks.
    `silent`: seconds since the last report of each task.
    """
    done, total = {True: cached_cells, False: 0}, {True: cached_cells, False: 0}
    for name in wanted:
        is_model = bool(MODEL.search(name))
        total[is_model] += 1
        done[is_model] += name in activities and activities[name].state == DONE
    failed = sum(name in activities and activities[name].state == FAILED for name in wanted)
    models, inputs = ((done[is_model], total[is_model]) for is_model in (True, False))
    return SweepProgress(models, inputs, failed, seconds_left(activities, wanted, now), silent or {})


def seconds_left(activities: Mapping[str, Activity], wanted: Sequence[str], now: float) -> float | None:
    """Return the seconds left if each model takes as long as those that have ended here; None before one has.

    So many are made at once as now. Where no models are wanted, inputs count. None in the first second, too.
    """
    units = [name for name in wanted if MODEL.search(name)] or wanted
    known = [activities[name] for name in units if name in activities]
    ended = [one for one in known if one.state in (DONE, FAILED)]
    took = [one.updated - one.started for one in ended if one.started]  # what an earlier run has done tells no pace
    if not took or now - min(one.started for one in known if one.started) < STEADY_SECONDS:
        return None
    running = [now - one.started for one in known if one.state == RUNNING]
    waiting = [0.0] * (len(units) - len(ended) - len(running))
    return sum(max(0.0, fmean(took) - seconds) for seconds in (*running, *waiting)) / max(1, len(running))


class Silence:
    """For how long tasks have reported nothing, by this machine's clock: a node's may be another."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[float, float]] = {}  # the latest report, and when it was seen

    def look(self, activities: Mapping[str, Activity], now: float) -> dict[str, float]:
        """Return the seconds since the last report of each task at work, at a time (seconds since any moment)."""
        for name, activity in activities.items():
            if self._heard.get(name, (None, 0.0))[0] != activity.updated:
                self._heard[name] = activity.updated, now
        at_work = [name for name, one in activities.items() if one.state == RUNNING and not one.waits]
        return {name: now - self._heard[name][1] for name in at_work}


def with_done(activities: Mapping[str, Activity], cells: Sequence[CellStatus]) -> dict[str, Activity]:
    """Return the activities of a sweep; a cell whose results the store has is done, whatever its activity says."""
    done = [cell.cell for cell in cells if cell.state in (DONE, ENDED_EARLY)]
    found = {name: dataclasses.replace(activities.get(name, Activity(name)), state=DONE, waits="") for name in done}
    return {**activities, **found}
