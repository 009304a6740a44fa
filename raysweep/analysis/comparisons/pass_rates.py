"""Compares pass@1 of two cells on one test set: difference, flipped verdicts, McNemar's test."""

from __future__ import annotations

from math import nan

from raysweep.analysis.comparisons.base import COMPARISONS, Comparison, ProblemRates, draws_note
from raysweep.metrics.base import Measurement
from raysweep.stats.bootstrap import bootstrap_intervals
from raysweep.stats.intervals import interval_note
from raysweep.stats.paired_tests import mcnemar

DIFFERENCE, GAINED, LOST, P_VALUE = "pass@1_difference", "problems_gained", "problems_lost", "mcnemar_p"
ROUNDING = 1e-9
"""Means of the same verdicts, added up in another order, differ by less."""


@COMPARISONS.register("pass_rates")
class PassRates(Comparison):
    """``pass@1_difference`` (second minus first), with an interval over problems, and the problems that differ.

    ``problems_gained`` counts the problems that the second cell solves more often, ``problems_lost`` the reverse. Where
    both cells have one verdict for each problem, ``mcnemar_p`` is the two-sided exact p of McNemar's test.
    """

    def measure(self, first: ProblemRates, second: ProblemRates) -> list[Measurement]:
        """Return the numbers over the problems that both cells have a verdict on."""
        shared = [task for task in first.rates if task in second.rates]
        before, after = [first.rates[task] for task in shared], [second.rates[task] for task in shared]
        n = len(shared)
        if not n:
            return [Measurement(DIFFERENCE, nan, nan, nan, 0, "no problem has a verdict of both models")]
        values = [[(rate,) for rate in rates] for rates in (before, after)]
        ((low, high),) = bootstrap_intervals(values, lambda means: [means[1] - means[0]])
        gained = sum(new > old + ROUNDING for old, new in zip(before, after, strict=True))
        lost = sum(new < old - ROUNDING for old, new in zip(before, after, strict=True))
        value = sum(after) / n - sum(before) / n
        draws = zip(first.means_by_draw(shared), second.means_by_draw(shared), strict=False)
        by_draw = [new - old for old, new in draws]
        note = "; ".join(filter(None, (interval_note(n), draws_note(first, second, value, by_draw))))
        found = [
            Measurement(DIFFERENCE, value, low, high, n, note),
            Measurement(GAINED, gained, nan, nan, n),
            Measurement(LOST, lost, nan, nan, n),
        ]
        if all(cell.completions == cell.draws == 1 for cell in (first, second)):
            p = mcnemar([bool(rate) for rate in before], [bool(rate) for rate in after]).p
            found.append(Measurement(P_VALUE, p, nan, nan, n))
        return found
