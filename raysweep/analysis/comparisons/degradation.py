"""Compares the relative degradation (RD) of two cells, and says where a change of RD comes from.

RD = 1 - P_pert / P_clean falls when the perturbed score rises, which is wanted, and also when the clean score falls,
which isn't (study.md section 7). The change from cell 1 to cell 2 is the sum of two parts,

    perturbed part = -(p2 - p1) (1/c1 + 1/c2) / 2
    clean part     = -(p1 + p2) (1/c2 - 1/c1) / 2

with c and p the clean and perturbed pass@1. They are the Shapley values of the two scores: the mean over both orders
of changing one score after the other (Shorrocks 2013, https://doi.org/10.1007/s10888-011-9214-z).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan
from typing import TYPE_CHECKING

from typing_extensions import override

from raysweep.analysis.comparisons.base import COMPARISONS, Comparison, ProblemRates, draws_note, shared_values
from raysweep.metrics.base import Measurement
from raysweep.stats.bootstrap import bootstrap_intervals
from raysweep.stats.intervals import Interval, interval_note, mean_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHANGE, PERTURBED_PART, CLEAN_PART = NAMES = ("RD_change", "RD_change_perturbed", "RD_change_clean")
UNDEFINED_RD = "an RD is undefined: a clean score is 0"


@COMPARISONS.register("degradation")
class DegradationChange(Comparison):
    """``RD_change`` (second minus first) and its two parts, ``RD_change_perturbed`` and ``RD_change_clean``."""

    @override
    def measure(self, first: ProblemRates, second: ProblemRates) -> list[Measurement]:
        if not first.clean or not second.clean:
            return []
        shared, rates = shared_values(first.clean, first.rates, second.clean, second.rates)
        if not shared:
            return [Measurement(CHANGE, nan, nan, nan, 0, "no problem has verdicts of both models on both prompts")]
        means = [mean_of(values) for values in rates]
        change = rd_change(*means)
        passes = len(shared) * min(means[0], means[2])  # of the cell that has fewer
        sound = interval_note(len(shared), passes)
        draws = zip(first.means_by_draw(shared), second.means_by_draw(shared), strict=False)
        by_draw = list(zip(*(rd_change(means[0], old, means[2], new) for old, new in draws), strict=True))
        intervals = bootstrap_intervals([values[:, None] for values in rates], _resampled)
        if (rates[0] == rates[2]).all() and (rates[1] == rates[3]).all():
            # of cells with equal verdicts, so that the way back has the same interval: the mean of both
            halves = [(interval.high - interval.low) / 2 for interval in intervals]
            intervals = [Interval(-half, half) for half in halves]
        found = []
        for name, value, (low, high), on_draws in zip(NAMES, change, intervals, by_draw or [()] * 3, strict=True):
            notes = [UNDEFINED_RD] if isnan(value) else [sound, draws_note(first, second, value, on_draws)]
            found.append(Measurement(name, value, low, high, len(shared), "; ".join(filter(None, notes))))
        return found


def rd_change(clean: float, perturbed: float, new_clean: float, new_perturbed: float) -> tuple[float, float, float]:
    """Return the change of RD between two cells, its perturbed part and its clean part; NaN where a clean score is 0.

    The scores are pass@1 of the first cell and of the second (`new_`), from 0 to 1.
    """
    if clean == 0 or new_clean == 0:
        return nan, nan, nan
    perturbed_part = (perturbed - new_perturbed) * (1 / clean + 1 / new_clean) / 2
    clean_part = (perturbed + new_perturbed) * (1 / clean - 1 / new_clean) / 2
    return perturbed / clean - new_perturbed / new_clean, perturbed_part, clean_part


def _resampled(means: NDArray[np.float64]) -> Sequence[NDArray[np.float64]]:
    import numpy as np

    clean, perturbed, new_clean, new_perturbed = means
    inverse, new_inverse = (1 / np.where(score > 0, score, np.nan) for score in (clean, new_clean))
    return [
        perturbed * inverse - new_perturbed * new_inverse,
        (perturbed - new_perturbed) * (inverse + new_inverse) / 2,
        (perturbed + new_perturbed) * (inverse - new_inverse) / 2,
    ]
