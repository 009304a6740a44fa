"""ReCode's robust metrics over s draws of a test set: what holds in the worst case (arXiv:2212.10264, section 4).

A completion counts in the worst case when the i-th completion of every one of the s prompts passes; with c of n such
completions of a problem, RP_s@k = mean of 1 - C(n-c, k)/C(n, k), RD_s@k = (pass@k - RP_s@k)/pass@k, and RR_s@k = mean
of 2 - C(n-a, k)/C(n, k) - C(n-b, k)/C(n, k), where a completions pass on the clean prompt and not in the worst case,
and b the other way round. For greedy decoding these are the numbers of ReCode's run_robust.py.

A completion with a harness error in one draw is left out, unless it failed in another one, which decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import nan
from typing import NamedTuple

from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric
from raysweep.metrics.degradation import Paired, measure_rd
from raysweep.metrics.intervals import mean_interval
from raysweep.metrics.passing import checked, pass_at_k
from raysweep.programs import Outcome
from raysweep.records import Result

Verdicts = dict[str, dict[int, bool]]
"""Whether a completion passed, by task id and number of the completion."""


class RobustTally(NamedTuple):
    """One problem's completions, of those with a verdict on the clean prompt and in the worst case."""

    n: int
    clean: int  # pass on the clean prompt
    worst: int  # pass on every perturbed prompt
    broken: int  # pass on the clean prompt and not in the worst case
    mended: int  # the other way round


def verdicts(results: Iterable[Result]) -> Verdicts:
    """Return the verdicts among results; a harness error is none."""
    found: Verdicts = {}
    for result in results:
        own = found.setdefault(result.task_id, {})
        if result.outcome != Outcome.HARNESS_ERROR:
            own[result.draw] = result.outcome == Outcome.PASSED
    return found


def worst_case(draws: Sequence[Verdicts]) -> Verdicts:
    """Return, for each completion, whether it passes in all draws; left out where that is unknown."""
    found: Verdicts = {}
    for task in draws[0]:
        of_task = [draw.get(task, {}) for draw in draws]
        for number in sorted(set().union(*of_task)):
            known = [verdict[number] for verdict in of_task if number in verdict]
            if len(known) == len(draws) or not all(known):
                found.setdefault(task, {})[number] = all(known)
    return found


def robust_tallies(clean: Verdicts, worst: Verdicts) -> dict[str, RobustTally]:
    """Count, for each problem, the completions that have a verdict on both sides."""
    found = {}
    for task, before in clean.items():
        after = worst.get(task, {})
        both = [(before[number], after[number]) for number in before if number in after]
        found[task] = RobustTally(
            len(both),
            sum(b for b, _ in both),
            sum(a for _, a in both),
            sum(b and not a for b, a in both),
            sum(a and not b for b, a in both),
        )
    return found


@METRICS.register("robust")
class Robust(Metric):
    """``RP_s@k``, ``RD_s@k`` and ``RR_s@k`` for each k that some problem has completions enough for."""

    def __init__(self, k: Sequence[int] = (1, 10, 100)) -> None:
        self.k = checked(k, self.name)

    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        """Return the numbers of a test set with several draws, all of them evaluated, and the clean one beside it."""
        if evaluation.clean is None or not evaluation.more_draws:
            return []
        draws = [verdicts(results) for results in (evaluation.results, *evaluation.more_draws)]
        counted = robust_tallies(verdicts(evaluation.clean), worst_case(draws))
        most = max((tally.n for tally in counted.values()), default=0)
        return [each for k in self.k if k <= max(1, most) for each in _measure(counted, len(draws), k)]


def _measure(counted: dict[str, RobustTally], s: int, k: int) -> list[Measurement]:
    tallies = [tally for tally in counted.values() if tally.n >= k]
    clean = [pass_at_k(t.n, t.clean, k) for t in tallies]
    robust = [pass_at_k(t.n, t.worst, k) for t in tallies]
    moved = [pass_at_k(t.n, t.broken, k) + pass_at_k(t.n, t.mended, k) for t in tallies]
    out = len(counted) - len(tallies)
    note = f"{out} problems with too few verdicts left out" if out else ""
    return [
        _mean_of(f"RP_{s}@{k}", robust, note),
        measure_rd(f"RD_{s}@{k}", Paired(clean, robust), note),
        _mean_of(f"RR_{s}@{k}", moved, note),
    ]


def _mean_of(metric: str, values: list[float], note: str) -> Measurement:
    value = sum(values) / len(values) if values else nan
    reason = "" if values else "no problem has enough verdicts"
    return Measurement(metric, value, *mean_interval(values), len(values), "; ".join(filter(None, (reason, note))))
