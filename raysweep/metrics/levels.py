"""Measures a model over all methods of a level (C, W, S), or of all levels: RD, perturbed pass@1 and drop.

A problem's perturbed pass@1 is the mean over the level's methods, each of which counts alike however many draws it has.
The methods are fixed, so intervals are over problems alone. It is another number than the RD on an aggregate's test
set, where each problem is perturbed by one method of the level, drawn at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raysweep.metrics.base import Measurement
from raysweep.metrics.degradation import Paired, measure_part
from raysweep.metrics.passing import over_draws
from raysweep.records import Result
from raysweep.stats.intervals import draw_means
from raysweep.units import count

LEVEL_METRICS = ("RD_level", "pass@1_level", "drop_level")
FEWEST_METHODS = 2


@dataclass(frozen=True)
class PerturbationLevel:
    """Methods that are measured together. `missing`: those of the level that the sweep doesn't evaluate."""

    name: str
    methods: tuple[str, ...]
    missing: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, methods: Sequence[str], evaluated: Sequence[str]) -> PerturbationLevel:
        there, missing = (tuple(m for m in methods if (m in evaluated) is wanted) for wanted in (True, False))
        return cls(name, there, missing)


def measure_level(
    level: PerturbationLevel, clean: Sequence[Result], perturbed: Mapping[str, Sequence[Sequence[Result]]]
) -> list[Measurement]:
    """Return ``RD_level``, ``pass@1_level`` (the mean over the perturbed test sets) and ``drop_level`` of one model.

    There is nothing to return where the sweep has fewer than two methods of the level, or the model was not evaluated
    on all of them: then it can't be compared with other models.
    """
    import numpy as np

    if len(level.methods) < FEWEST_METHODS or any(method not in perturbed for method in level.methods):
        return []
    before = over_draws([clean], 1)
    rates = [over_draws(perturbed[method], 1) for method in level.methods]
    common = set(before.tasks).intersection(*(of_method.tasks for of_method in rates))
    shared = [task for task in before.tasks if task in common]
    means = draw_means(np.column_stack([draw_means(of_method.of(shared)) for of_method in rates]))
    scores = Paired(before.of(shared)[:, 0], means[:, None])
    notes = [f"without {', '.join(level.missing)}, which the sweep doesn't evaluate"] if level.missing else []
    if left_out := len(before.tasks) - len(shared):
        notes.append(f"{count(left_out, 'problem')} without a verdict on each method left out")
    note = "; ".join(notes)
    return measure_part("level", scores, note)
