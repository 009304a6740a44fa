"""Compares pass@1 of two cells on one test set: difference, flipped verdicts, the p of a sign-flip test."""

from __future__ import annotations

from math import nan

from typing_extensions import override

from raysweep.analysis.comparisons.base import COMPARISONS, Comparison, ProblemRates, draws_note, shared_values
from raysweep.metrics.base import Measurement
from raysweep.stats.intervals import FEWEST, interval_note, mean_of
from raysweep.stats.paired_tests import sign_flip_p
from raysweep.stats.resampling import bootstrap_difference

DIFFERENCE, GAINED, LOST, P_VALUE = "pass@1_difference", "problems_gained", "problems_lost", "pass@1_difference_p"
P_HEADINGS = ("p", "p (Holm)")
"""Headings of p values, raw and adjusted."""
TEST_IN_WORDS = (
    "p: of the difference of pass@1, by a sign-flip test over problems, which is McNemar's exact test where each has "
    "one completion; of several seeds it is that of the t test of their mean, which the interval is of."
)
ROUNDING = 1e-9
"""Means of the same verdicts, added up in another order, differ by less."""


@COMPARISONS.register("pass_rates")
class PassRates(Comparison):
    """``pass@1_difference`` (second minus first), with an interval over problems, and the problems that differ.

    ``problems_gained`` counts the problems that the second cell solves more often, ``problems_lost`` the reverse.
    ``pass@1_difference_p`` is the two-sided p of a sign-flip test whose units are the problems, for any number of
    completions; where both cells have one verdict for each problem, it is that of McNemar's exact test.
    """

    @override
    def measure(self, first: ProblemRates, second: ProblemRates) -> list[Measurement]:
        shared, (before, after) = shared_values(first.rates, second.rates)
        n = len(shared)
        if not n:
            return [Measurement(DIFFERENCE, nan, nan, nan, 0, "no problem has a verdict of both models")]
        gained, lost = (int((more > less + ROUNDING).sum()) for more, less in ((after, before), (before, after)))
        value = mean_of(after) - mean_of(before)
        draws = zip(first.means_by_draw(shared), second.means_by_draw(shared), strict=False)
        by_draw = [new - old for old, new in draws]
        note = "; ".join(filter(None, (interval_note(n), draws_note(first, second, value, by_draw))))
        low, high, p_values = nan, nan, []
        if n >= FEWEST:
            resampled = bootstrap_difference(before[:, None], after[:, None])
            low, high = (0.0 - end for end in (resampled.high, resampled.low))  # of after minus before; 0 has no sign
            p_values = [Measurement(P_VALUE, sign_flip_p(after - before), nan, nan, n)]
        counts = [Measurement(GAINED, gained, nan, nan, n), Measurement(LOST, lost, nan, nan, n)]
        return [Measurement(DIFFERENCE, value, low, high, n, note), *counts, *p_values]
