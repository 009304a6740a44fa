"""Metrics of program repair: patches that pass the tests, and patches that are the published one.

A patch that passes is plausible. Whether it is correct only a person can say, so no number is called that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import nan

from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric
from raysweep.metrics.passing import checked_ks
from raysweep.programs import Outcome
from raysweep.records import Result
from raysweep.stats.intervals import draw_means, drawn_mean_interval, interval_note, mean_of

KS = (1, 10)


@METRICS.register("repair")
class Repair(Metric):
    """``plausible@1`` and ``plausible@10``, ``exact match@1`` and ``@10``, of sets whose answers are patches.

    A problem counts if one of its first k answers is a patch that passes the tests, or that is the published patch but
    for comments and white space. The answers have an order, as beams do, the likeliest first; plausible@1 is what the
    repair study calls pass@1. Sets without tests have exact matches alone, and other sets none of these numbers.
    """

    def __init__(self, k: Sequence[int] = KS) -> None:
        self.k = checked_ks(k, self.name)

    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        """Return both numbers for each k up to the number of answers to a problem."""
        patches = [tuple(one for one in draw if one.exact is not None) for draw in evaluation.draws]
        tested = [tuple(one for one in draw if one.outcome not in _NO_VERDICTS) for draw in patches]
        most = max((one.sample + 1 for one in patches[0]), default=0)
        numbers = []
        for k in (k for k in self.k if k <= most):
            if any(tested):
                numbers.append(_share(f"plausible@{k}", tested, k, lambda one: one.outcome == Outcome.PASSED))
            numbers.append(_share(f"exact match@{k}", patches, k, lambda one: one.exact is True))
        return numbers


_NO_VERDICTS = (Outcome.HARNESS_ERROR, Outcome.UNTESTED)


def _share(metric: str, draws: Sequence[Iterable[Result]], k: int, is_hit: Callable[[Result], bool]) -> Measurement:
    """Return the share of problems with a hit among their first k answers, as the mean over draws."""
    import numpy as np

    found: list[dict[str, bool]] = []
    for draw in draws:
        hits: dict[str, bool] = {}
        for one in draw:
            if one.sample < k:
                hits[one.task_id] = hits.get(one.task_id, False) or is_hit(one)
        found.append(hits)
    tasks = list(dict.fromkeys(task for hits in found for task in hits))
    values = np.array([[float(hits[task]) if task in hits else nan for hits in found] for task in tasks])
    if not tasks:
        return Measurement(metric, nan, nan, nan, 0, "there are no verdicts")
    low, high = drawn_mean_interval(values)
    return Measurement(metric, mean_of(draw_means(values)), low, high, len(tasks), interval_note(len(tasks)))
