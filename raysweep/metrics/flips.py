"""Measures how often a perturbation flips a verdict, in both directions.

The i-th completions of a clean and a perturbed prompt are a pair: they share their sampling seed.
A pair is lost if it passes on the clean prompt only, and won if it passes on the perturbed prompt only. The share won
minus the share lost is the difference of pass@1, `drop`; two perturbations with equal drops may flip few verdicts or
many.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import fsum, nan, prod
from typing import TYPE_CHECKING, NamedTuple

from typing_extensions import override

from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric
from raysweep.metrics.degradation import harness_error_note
from raysweep.metrics.verdicts import NO_PAIRS, PairTally, Verdicts
from raysweep.records import Result
from raysweep.stats.intervals import draw_means, drawn_mean_interval, interval_note, mean_of, part_interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOST, WON = "flips_lost", "flips_won"
LOST_RATE, WON_RATE = "flip_rate_lost", "flip_rate_won"


class Flipped(NamedTuple):
    """Shares of the pairs of completions, (problems, draws) each; NaN where a problem has no pair of verdicts."""

    passed: NDArray[np.float64]  # on the clean prompt
    lost: NDArray[np.float64]
    won: NDArray[np.float64]


def flips_of(clean: Sequence[Result], draws: Sequence[Sequence[Result]]) -> Flipped:
    import numpy as np

    before = Verdicts.of(clean)
    counted = [Verdicts.of(results).paired_with(before) for results in draws]
    shape = len(counted[0]), len(draws), len(NO_PAIRS)
    numbers = chain.from_iterable(of_draw[task] for task in counted[0] for of_draw in counted)
    counts = np.fromiter(numbers, np.float64, prod(shape)).reshape(shape)
    pairs = counts[:, :, PairTally._fields.index("n")]
    there = pairs.any(axis=1)
    shares = counts[there] / np.where(pairs > 0, pairs, nan)[there, :, None]
    return Flipped(*(shares[:, :, PairTally._fields.index(name)] for name in ("clean", "lost", "won")))


@METRICS.register("flips")
class Flips(Metric):
    """``flips_lost`` and ``flips_won``, as shares of all pairs of completions, and two rates.

    ``flip_rate_lost`` is the share lost of the pairs that pass on the clean prompt, and ``flip_rate_won`` the share won
    of those that fail there. Both are ratios of means over problems, as RD is.
    """

    @override
    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        if evaluation.clean is None:
            return []
        passed, lost, won = flips_of(evaluation.clean, evaluation.draws)
        note = harness_error_note(evaluation)
        return [
            _mean(LOST, lost, note),
            _mean(WON, won, note),
            _rate(LOST_RATE, lost, passed, "clean passes", note),
            _rate(WON_RATE, won, 1 - passed, "clean failures", note),
        ]


def _rate(metric: str, flipped: NDArray[np.float64], whole: NDArray[np.float64], what: str, note: str) -> Measurement:
    """Return the sum of `flipped` over that of `whole`, which is no smaller on any draw; `what`: the whole."""
    n, total = len(whole), fsum(draw_means(whole))
    if not total:
        return Measurement(metric, nan, nan, nan, n, "; ".join(filter(None, (f"there are no {what}", note))))
    low, high = part_interval(flipped, whole)
    reason = interval_note(n, total, what)
    value = fsum(draw_means(flipped)) / total
    return Measurement(metric, value, low, high, n, "; ".join(filter(None, (reason, note))))


def _mean(metric: str, shares: NDArray[np.float64], note: str) -> Measurement:
    n, value = len(shares), mean_of(draw_means(shares))
    reason = interval_note(n) if n else "no completion has a verdict on both prompts"
    low, high = drawn_mean_interval(shares)
    return Measurement(metric, value, low, high, n, "; ".join(filter(None, (reason, note))))
