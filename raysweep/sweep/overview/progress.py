"""How far a running sweep is: models and inputs that are done, and a rough share of the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raysweep.engine.progress import DONE, FAILED, RUNNING, Activity
from raysweep.engine.time_left import MODEL
from raysweep.sweep.overview.status import ENDED_EARLY, CellStatus
from raysweep.units import duration

WEIGHTS = {"making": 0.0, "starting": 0.0, "training": 0.8, "generating": 0.15, "executing": 0.05}
"""Rough share of a model's time that each stage takes, for the bar."""


@dataclass(frozen=True)
class SweepProgress:
    """Counts of a running sweep.

    `models` and `inputs`: how many of how many are done; inputs are what models share, such as sets. `share`: a rough
    share of the work that is done. `left`: seconds left; None if unknown. `stages_left`: seconds left of running
    stages, by task, as far as they are known.
    """

    models: tuple[int, int]
    inputs: tuple[int, int]
    failed: int
    share: float
    left: float | None
    stages_left: Mapping[str, float] = field(default_factory=dict)

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
    left: float | None = None,
    *,
    stages_left: Mapping[str, float] | None = None,
    cached_cells: int = 0,
) -> SweepProgress:
    """Count the finished activities among those wanted.

    `left`: the seconds left; None if unknown. `stages_left`: the seconds left of running stages, by task.
    `cached_cells`: how many models were done before, which are not among the tasks.
    """
    counted = [activities.get(name, Activity(name)) for name in wanted]
    done = {bool(MODEL.search(activity.id)): 0 for activity in counted}
    total = dict(done)
    for activity in counted:
        is_model = bool(MODEL.search(activity.id))
        total[is_model] += 1
        done[is_model] += activity.state == DONE
    weights = [_weight(activity) for activity in counted]
    work = sum(w * _fraction(a) for w, a in zip(weights, counted, strict=True))
    share = (work + cached_cells) / (sum(weights) + cached_cells or 1)
    failed = sum(activity.state == FAILED for activity in counted)
    models = done.get(True, 0) + cached_cells, total.get(True, 0) + cached_cells
    inputs = done.get(False, 0), total.get(False, 0)
    return SweepProgress(models, inputs, failed, share, left, stages_left or {})


def with_done(activities: Mapping[str, Activity], cells: Sequence[CellStatus]) -> dict[str, Activity]:
    """Return the activities of a sweep; a cell whose results the store has is done, whatever its activity says."""
    done = {cell.cell: Activity(cell.cell, DONE) for cell in cells if cell.state in (DONE, ENDED_EARLY)}
    return {**activities, **done}


def _fraction(activity: Activity) -> float:
    if activity.state in (DONE, FAILED):
        return 1.0
    if activity.state != RUNNING:
        return 0.0
    stages = list(WEIGHTS)
    before = sum(WEIGHTS[stage] for stage in stages[: stages.index(activity.stage)]) if activity.stage in WEIGHTS else 0
    weight = WEIGHTS.get(activity.stage, 0)
    return before + weight * (activity.done / activity.total if activity.total else 0)


def _weight(activity: Activity) -> float:
    """Return roughly how long an activity takes, in cells: sets take seconds, base models longer than a cell."""
    if activity.id.startswith(("training-set", "test-set", "pre-training-rows")):
        return 0.05
    if activity.id.startswith("base-model"):
        return 3.0
    return 0.2 if activity.id.endswith(".base") else 1.0
