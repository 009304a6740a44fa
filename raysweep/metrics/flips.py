"""Measures how often a perturbation flips a verdict, in both directions.

The i-th completions of a clean and a perturbed prompt are a pair: they share their sampling seed (study.md section 6).
A pair is lost if it passes on the clean prompt only, and won if it passes on the perturbed prompt only. The share won
minus the share lost is the difference of pass@1, `drop`; two perturbations with equal drops may flip few verdicts or
many.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric
from raysweep.metrics.degradation import harness_error_note
from raysweep.metrics.verdicts import PairTally, Verdicts
from raysweep.records import Result
from raysweep.stats.bootstrap import bootstrap_intervals
from raysweep.stats.intervals import Draws, draw_means, drawn_mean_interval, interval_note

LOST, WON = "flips_lost", "flips_won"
LOST_RATE, WON_RATE = "flip_rate_lost", "flip_rate_won"


def flips_by_problem(clean: Sequence[Result], draws: Sequence[Sequence[Result]]) -> dict[str, list[PairTally]]:
    """Return each problem's counts of pairs by task id, one tally for each draw that has a pair of verdicts."""
    before = Verdicts.of(clean)
    found: dict[str, list[PairTally]] = {}
    for results in draws:
        for task, tally in Verdicts.of(results).paired_with(before).items():
            if tally.n:
                found.setdefault(task, []).append(tally)
    return found


@METRICS.register("flips")
class Flips(Metric):
    """``flips_lost`` and ``flips_won``, as shares of all pairs of completions, and two rates.

    ``flip_rate_lost`` is the share lost of the pairs that pass on the clean prompt, and ``flip_rate_won`` the share won
    of those that fail there. Both are ratios of means over problems, as RD is.
    """

    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        """Return the numbers for a perturbed test set if the clean one was evaluated too."""
        if evaluation.clean is None:
            return []
        problems = list(flips_by_problem(evaluation.clean, evaluation.draws).values())
        note = harness_error_note(evaluation)
        passed = [[t.clean / t.n for t in draws] for draws in problems]
        failed = [[1 - share for share in draws] for draws in passed]
        lost = [[t.lost / t.n for t in draws] for draws in problems]
        won = [[t.won / t.n for t in draws] for draws in problems]
        return [
            _mean(LOST, lost, note),
            _mean(WON, won, note),
            _rate(LOST_RATE, lost, passed, "clean passes", note),
            _rate(WON_RATE, won, failed, "clean failures", note),
        ]


def _rate(metric: str, flipped: Draws, whole: Draws, what: str, note: str) -> Measurement:
    """Return the sum of `flipped` over that of `whole`, which is no smaller on any draw; `what`: the whole."""
    n, total = len(whole), sum(draw_means(whole))
    if not total:
        return Measurement(metric, nan, nan, nan, n, "; ".join(filter(None, (f"there are no {what}", note))))
    corners = [(1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]  # none flips that wasn't there
    ((low, high),) = bootstrap_intervals([whole, flipped], lambda means: [means[1] / means[0]], corners)
    reason = interval_note(n, total, what)
    return Measurement(metric, sum(draw_means(flipped)) / total, low, high, n, "; ".join(filter(None, (reason, note))))


def _mean(metric: str, draws: list[list[float]], note: str) -> Measurement:
    values = draw_means(draws)
    value = sum(values) / len(values) if values else nan
    reason = interval_note(len(values)) if values else "no completion has a verdict on both prompts"
    low, high = drawn_mean_interval(draws)
    return Measurement(metric, value, low, high, len(values), "; ".join(filter(None, (reason, note))))
