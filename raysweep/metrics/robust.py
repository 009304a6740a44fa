"""ReCode's robust metrics: the worst case over s draws of a test set (https://arxiv.org/abs/2212.10264, section 4).

The i-th completion of a problem passes in the worst case if the i-th completion of every one of the s prompts passes.
With c of n such completions of a problem, RP_s@k = mean of 1 - C(n-c, k)/C(n, k), RD_s@k = (pass@k - RP_s@k)/pass@k,
and RR_s@k = mean of 2 - C(n-a, k)/C(n, k) - C(n-b, k)/C(n, k), where a completions pass on the clean prompt only and b
in the worst case only. For greedy decoding these are the numbers of ReCode's run_robust.py.

A completion with a harness error in one draw is left out, unless it failed in another draw: then it fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric
from raysweep.metrics.degradation import Paired, measure_rd
from raysweep.metrics.passing import USUAL_KS, checked_ks, pass_at_k
from raysweep.metrics.verdicts import PairTally, PassTable, Verdicts, pair_tallies
from raysweep.stats.intervals import array, interval_note, mean_interval, mean_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def worst_case(draws: Sequence[PassTable]) -> PassTable:
    """Return which completions pass in all draws, without those for which that is unknown."""
    table: dict[str, dict[int, bool]] = {}
    for task in draws[0]:
        task_draws = [draw.get(task, {}) for draw in draws]
        for number in sorted(set().union(*task_draws)):
            passes = [completions[number] for completions in task_draws if number in completions]
            if len(passes) == len(draws) or not all(passes):
                table.setdefault(task, {})[number] = all(passes)
    return table


@METRICS.register("robust")
class Robust(Metric):
    """``RP_s@k``, ``RD_s@k`` and ``RR_s@k`` for 1, 10 and 100 up to the number of completions, or for the k given.

    A k that is given and that no problem has as many completions for is NaN, with that reason.
    """

    def __init__(self, k: Sequence[int] | None = None) -> None:
        self.given = None if k is None else checked_ks(k, self.name)

    @override
    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        if evaluation.clean is None or not evaluation.more_draws:
            return []
        draws = [Verdicts.of(results).passes for results in evaluation.draws]
        counted = pair_tallies(Verdicts.of(evaluation.clean).passes, worst_case(draws))
        most = max((tally.n for tally in counted.values()), default=0)
        ks = self.given or [k for k in USUAL_KS if k <= max(1, most)]
        return [measurement for k in ks for measurement in _measure(counted, len(draws), k)]


def _measure(counted: Mapping[str, PairTally], s: int, k: int) -> list[Measurement]:
    tallies = [tally for tally in counted.values() if tally.n >= k]
    clean = array([pass_at_k(t.n, t.clean, k) for t in tallies])
    robust = array([pass_at_k(t.n, t.perturbed, k) for t in tallies])
    changed = array([pass_at_k(t.n, t.lost, k) + pass_at_k(t.n, t.won, k) for t in tallies])
    left_out = len(counted) - len(tallies)
    note = f"{left_out} problems with too few verdicts left out" if left_out else ""
    return [
        _mean_of(f"RP_{s}@{k}", robust, note),
        measure_rd(f"RD_{s}@{k}", Paired(clean, robust[:, None]), note),
        _mean_of(f"RR_{s}@{k}", changed, note, highest=2.0),
    ]


def _mean_of(metric: str, values: NDArray[np.float64], note: str, highest: float = 1.0) -> Measurement:
    reason = interval_note(len(values)) if len(values) else "no problem has enough verdicts"
    low, high = mean_interval(values, limits=(0.0, highest))
    return Measurement(metric, mean_of(values), low, high, len(values), "; ".join(filter(None, (reason, note))))
