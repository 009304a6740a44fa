"""Metrics of program repair: patches that pass the tests, and patches that are the published one.

A patch that passes is plausible. Whether it is correct only a person can say, so no number is called that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import nan

from typing_extensions import override

from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric
from raysweep.metrics.passing import checked_ks
from raysweep.metrics.verdicts import NO_VERDICTS
from raysweep.programs import Outcome
from raysweep.records import Result
from raysweep.stats.intervals import draw_means, drawn_mean_interval, interval_note, mean_of

KS = (1, 10)


@METRICS.register("repair")
class Repair(Metric):
    """``plausible@1`` and ``plausible@10``, ``exact match@1`` and ``@10``, of sets whose answers are patches.

    A problem counts if one of its first k answers is a patch that passes the tests, or that is the published patch but
    for comments and layout. The answers have an order, as beams do, the likeliest first; plausible@1 is what the
    repair study calls pass@1. Sets without tests have exact matches alone, and other sets none of these numbers.
    """

    def __init__(self, k: Sequence[int] = KS) -> None:
        self.k = checked_ks(k, self.name)

    @override
    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        return [_measured(metric, hits) for metric, hits in _hits(evaluation.draws, self.k)]


def patch_rates(draws: Sequence[Iterable[Result]], ks: Sequence[int] = KS) -> dict[str, dict[str, float]]:
    """Return the same numbers problem by problem: by metric and task id, from 0 to 1, the mean over draws."""
    rates: dict[str, dict[str, float]] = {}
    for metric, found in _hits(draws, ks):
        tasks = dict.fromkeys(task for hits in found for task in hits)
        of_tasks = {task: [hits[task] for hits in found if task in hits] for task in tasks}
        rates[metric] = {task: sum(hits) / len(hits) for task, hits in of_tasks.items()}
    return rates


Hits = Mapping[str, bool]
"""Whether a problem counts, by task id, on one draw."""


def _hits(draws: Sequence[Iterable[Result]], ks: Sequence[int]) -> Iterator[tuple[str, list[Hits]]]:
    patches = [tuple(one for one in draw if one.exact is not None) for draw in draws]
    tested = [tuple(one for one in draw if one.outcome not in NO_VERDICTS) for draw in patches]
    most = max((one.sample + 1 for one in patches[0]), default=0)
    for k in (k for k in ks if k <= most):
        if any(tested):
            yield f"plausible@{k}", [_first(draw, k, lambda one: one.outcome == Outcome.PASSED) for draw in tested]
        yield f"exact match@{k}", [_first(draw, k, lambda one: one.exact is True) for draw in patches]


def _first(draw: Iterable[Result], k: int, is_hit: Callable[[Result], bool]) -> Hits:
    hits: dict[str, bool] = {}
    for one in draw:
        if one.sample < k:
            hits[one.task_id] = hits.get(one.task_id, False) or is_hit(one)
    return hits


def _measured(metric: str, found: Sequence[Hits]) -> Measurement:
    import numpy as np

    tasks = list(dict.fromkeys(task for hits in found for task in hits))
    values = np.array([[float(hits[task]) if task in hits else nan for hits in found] for task in tasks])
    if not tasks:
        return Measurement(metric, nan, nan, nan, 0, "there are no verdicts")
    low, high = drawn_mean_interval(values)
    return Measurement(metric, mean_of(draw_means(values)), low, high, len(tasks), interval_note(len(tasks)))
