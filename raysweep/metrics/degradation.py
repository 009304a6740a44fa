"""Measures how much of its clean pass@1 a model loses: relative degradation (RD) and the plain difference.

RD = (P_clean - P_pert) / P_clean (https://arxiv.org/abs/2212.10264, ReCode's relative drop). It rewards a lower clean
score, so the paired difference is reported with it. With several draws of a perturbation a
problem's perturbed pass@1 is the mean over the draws, and the interval is over problems and draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import fsum, isnan, nan
from typing import TYPE_CHECKING, NamedTuple

from typing_extensions import override

from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric
from raysweep.metrics.passing import over_draws
from raysweep.metrics.verdicts import Verdicts
from raysweep.records import PromptRow, Result
from raysweep.stats.bootstrap import LOST_OR_WON, bootstrap_intervals, even_interval
from raysweep.stats.intervals import Draws, agree, draw_means, drawn_mean_interval, interval_note, mean_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NO_PAIR = "no problem has a verdict on both prompts"


class Degradation(NamedTuple):
    """A relative degradation; if undefined, NaN and the reason in `note`."""

    value: float
    note: str


def relative_degradation(clean: float, perturbed: float) -> Degradation:
    """Return (clean - perturbed) / clean of two pass@k from 0 to 1, negative when the perturbed score is higher."""
    if isnan(clean) or isnan(perturbed):
        return Degradation(nan, "a score it rests on is undefined")
    if clean == 0:
        return Degradation(nan, "the clean score is 0")
    return Degradation((clean - perturbed) / clean, "")


class Paired(NamedTuple):
    """pass@1 of each problem that has verdicts on both prompts, in the same order."""

    clean: NDArray[np.float64]  # (problems,)
    perturbed: Draws  # of as many problems; one value for each draw

    @property
    def values(self) -> tuple[Draws, Draws]:
        return self.clean[:, None], self.perturbed

    @property
    def means(self) -> tuple[float, float]:
        """Return the two mean scores; NaN without problems."""
        return mean_of(self.clean), mean_of(draw_means(self.perturbed))

    @property
    def are_equal(self) -> bool:
        return bool((draw_means(self.perturbed) == self.clean).all()) and agree(self.perturbed)


def pair(clean: Iterable[Result], draws: Sequence[Iterable[Result]]) -> Paired:
    before, after = over_draws([clean], 1), over_draws(draws, 1)
    if before.tasks == after.tasks:
        return Paired(before.values[:, 0], after.values)
    there = set(after.tasks)
    shared = [task for task in before.tasks if task in there]
    return Paired(before.of(shared)[:, 0], after.of(shared))


@METRICS.register("relative_degradation")
class RelativeDegradation(Metric):
    """``RD`` and ``drop`` (P_pert - P_clean), and the same over a part of the prompts, with P_pert there.

    ``RD_changed``, ``pass@1_changed`` and ``drop_changed`` are over the prompts that changed and compile, ``RD_valid``
    and the like over those that still ask for the task by the sheet that `evaluation.audit` names.
    """

    @override
    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        if evaluation.clean is None:
            return []
        all_tasks = pair(evaluation.clean, evaluation.draws)
        note = harness_error_note(evaluation)
        rd, drop = measure_both("RD", "drop", all_tasks, note)
        measurements = [rd]
        if evaluation.prompts:
            changed = _over(evaluation, lambda row: row.changed and row.compiles)
            measurements += measure_part("changed", pair(evaluation.clean, changed), note)
        measurements += _measure_valid(evaluation, note)
        return [*measurements, drop]


def measure_rd(metric: str, scores: Paired, note: str) -> Measurement:
    return measure_both(metric, "", scores, note)[0]


def measure_part(part: str, scores: Paired, note: str) -> list[Measurement]:
    """Return RD, the perturbed pass@1 and the drop over a part of what was measured, as ``RD_part`` and so on."""
    rd, drop = measure_both(f"RD_{part}", f"drop_{part}", scores, note)
    low, high = drawn_mean_interval(scores.perturbed)
    _, after = scores.means
    return [rd, Measurement(f"pass@1_{part}", after, low, high, drop.n, drop.note), drop]


def measure_both(rd: str, drop: str, scores: Paired, note: str) -> tuple[Measurement, Measurement]:
    """Return the relative degradation, and perturbed minus clean score, with intervals from the same resamples."""
    before, after = scores.means
    value, reason = relative_degradation(before, after)
    of_rd, of_drop = bootstrap_intervals(scores.values, _rd_and_drop, LOST_OR_WON)
    n = len(scores.clean)
    if scores.are_equal:
        of_drop = even_interval(n)
    if not isnan(value):
        reason = interval_note(n, fsum(scores.clean))
    of_difference = interval_note(n) if n else NO_PAIR
    notes = ["; ".join(filter(None, (first, note))) for first in (reason, of_difference)]
    return Measurement(rd, value, *of_rd, n, notes[0]), Measurement(drop, after - before, *of_drop, n, notes[1])


def _rd_and_drop(means: NDArray[np.float64]) -> Sequence[NDArray[np.float64]]:
    import numpy as np

    clean, perturbed = means
    return (clean - perturbed) / np.where(clean == 0, np.nan, clean), perturbed - clean


def _measure_valid(evaluation: Evaluation, note: str) -> list[Measurement]:
    assert evaluation.clean is not None
    rated = evaluation.rated or {}
    prompts = [row for rows in (evaluation.prompts, *evaluation.more_prompts) for row in rows]
    votes = [rated[row.task_id, row.prompt] for row in prompts if row.changed and (row.task_id, row.prompt) in rated]
    if not votes:
        return []
    unrated = sum(row.changed for row in prompts) - len(votes)
    counts = f"{sum(votes)} of {len(votes)} rated prompts are valid" + f", {unrated} not rated" * (unrated > 0)
    valid = _over(evaluation, lambda row: not row.changed or rated.get((row.task_id, row.prompt), False))
    measured = measure_part("valid", pair(evaluation.clean, valid), note)
    return [replace(number, note="; ".join(filter(None, (number.note, counts)))) for number in measured]


def _over(evaluation: Evaluation, wanted: Callable[[PromptRow], bool]) -> list[list[Result]]:
    prompts = (evaluation.prompts, *evaluation.more_prompts)
    tasks_of = [{row.task_id for row in rows if wanted(row)} for rows in prompts]
    return [
        [result for result in results if result.task_id in tasks]
        for results, tasks in zip(evaluation.draws, tasks_of, strict=False)
    ]


def harness_error_note(evaluation: Evaluation) -> str:
    """Return how many completions, clean or perturbed, have no verdict; empty if none."""
    all_results = (evaluation.clean or (), *evaluation.draws)
    count = sum(Verdicts.of(results).harness_errors for results in all_results)
    return f"{count} harness errors left out" if count else ""
