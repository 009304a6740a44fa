"""Compares pass@1 of two cells on one test set: difference, flipped verdicts, McNemar's test, a bootstrap's p."""

from __future__ import annotations

from math import nan

from raysweep.analysis.comparisons.base import COMPARISONS, Comparison, ProblemRates, draws_note, shared_values
from raysweep.metrics.base import Measurement
from raysweep.stats.bootstrap import RESAMPLES
from raysweep.stats.intervals import FEWEST, interval_note, mean_of
from raysweep.stats.paired_tests import mcnemar
from raysweep.stats.resampling import bootstrap_difference

DIFFERENCE, GAINED, LOST, P_VALUE = "pass@1_difference", "problems_gained", "problems_lost", "mcnemar_p"
BOOTSTRAP_P = "bootstrap_p"
P_VALUES = {P_VALUE: "McNemar", BOOTSTRAP_P: "bootstrap"}
"""Metrics that are p values, with the names of their tests."""
SMALLEST_P = 2 / (RESAMPLES + 1)
"""That so many resamples can show."""
TESTS_IN_WORDS = (
    "The p values are of the difference of pass@1. McNemar's test is exact, where each problem has one completion; the "
    f"bootstrap over problems is that of the interval, and its p is at least {SMALLEST_P:.1g}. Holm: adjusted over all "
    f"p values of a test in this table; of more than {int(0.05 / SMALLEST_P)} bootstraps none is below .05 then."
)
ROUNDING = 1e-9
"""Means of the same verdicts, added up in another order, differ by less."""


def p_headings(test: str) -> tuple[str, str]:
    """Return the headings of a test's p values, raw and adjusted."""
    return f"p ({test})", f"p ({test}, Holm)"


@COMPARISONS.register("pass_rates")
class PassRates(Comparison):
    """``pass@1_difference`` (second minus first), with an interval over problems, and the problems that differ.

    ``problems_gained`` counts the problems that the second cell solves more often, ``problems_lost`` the reverse.
    ``bootstrap_p`` is of the same resamples of problems as the interval, so it applies to any number of completions.
    Where both cells have one verdict for each problem, ``mcnemar_p`` is the two-sided exact p of McNemar's test.
    """

    def measure(self, first: ProblemRates, second: ProblemRates) -> list[Measurement]:
        """Return the numbers over the problems that both cells have a verdict on."""
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
            p_values = [Measurement(BOOTSTRAP_P, resampled.p, nan, nan, n)]
        if all(cell.completions == cell.draws == 1 for cell in (first, second)):
            p = mcnemar((before > 0).tolist(), (after > 0).tolist()).p
            p_values.append(Measurement(P_VALUE, p, nan, nan, n))
        counts = [Measurement(GAINED, gained, nan, nan, n), Measurement(LOST, lost, nan, nan, n)]
        return [Measurement(DIFFERENCE, value, low, high, n, note), *counts, *p_values]
