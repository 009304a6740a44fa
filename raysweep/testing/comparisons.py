"""The contract of comparisons of two models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from raysweep.analysis.comparisons.base import COMPARISONS, Comparison, ProblemRates
from raysweep.records import Spec
from raysweep.testing.contract import elsewhere, no_global_generator
from raysweep.testing.measurements import MeasurementContract, measured, values

Pair = tuple[ProblemRates, ProblemRates]


def rates(*passed: float, clean: Sequence[float] = (), completions: int = 1) -> ProblemRates:
    """Return the verdicts of a cell: pass@1 of each problem, and on its clean prompt."""
    names = [f"task/{number:02d}" for number in range(len(passed))]
    return ProblemRates(dict(zip(names, passed, strict=True)), dict(zip(names, clean, strict=False)), completions, 1)


class ComparisonContract(MeasurementContract):
    """Tests of what docs/contracts.md asks of a comparison of two models.

    Attributes:
        make: to be set, see `Contract`; it is called without arguments.
    """

    make: Callable[..., Comparison]
    registry = COMPARISONS

    def pairs(self) -> Mapping[str, Pair]:
        """Return pairs of cells by what they are. Override it for a comparison that needs others to have a number."""
        clean, new_clean = (1, 1, 0, 1, 1, 1, 0, 1), (1, 1, 0, 0, 1, 1, 1, 1)
        first, second = rates(1, 0, 0, 1, 1, 0, 0, 1, clean=clean), rates(1, 1, 0, 0, 1, 1, 0, 1, clean=new_clean)
        drawn = [_drawn(first, (0, 1, 0, 1, 1, 0, 1, 1)), _drawn(second, (1, 1, 0, 0, 0, 1, 0, 1))]
        shares = [rates(0.5, 0, 1, 0.25, clean=(1, 0.5, 1, 1), completions=4), rates(1, 1, 0.5, 0, clean=(1, 1, 1, 1))]
        return {
            "perturbed prompts": (first, second),
            "clean prompts": (replace(first, clean={}), replace(second, clean={})),
            "a cell beside itself": (first, first),
            "several completions": (shares[0], shares[1]),
            "two draws of the noise": (drawn[0], drawn[1]),
            "one problem": (rates(1, clean=[1]), rates(0, clean=[1])),
            "all fail": (rates(0, 0, 0, clean=(0, 0, 0)), rates(0, 0, 0, clean=(0, 0, 0))),
            "no common problem": (first, ProblemRates({"other": 1.0}, {"other": 1.0}, 1, 1)),
        }

    def examples(self) -> Mapping[str, Pair]:
        return self.pairs()

    def problems(self, *arguments: Any) -> int:
        """Return how many problems have a verdict of both cells."""
        first, second = arguments
        return len(first.rates.keys() & second.rates.keys())

    def test_only_problems_with_a_verdict_of_both_cells_count(self) -> None:
        """A harness error of one cell leaves out the problem for both."""
        before = self.measured()
        more = {
            example: (_with_problem(first, "zzz/1", 1.0), _with_problem(second, "zzz/2", 0.0))
            for example, (first, second) in self.pairs().items()
        }
        for example, numbers in measured(self.part(), more).items():
            assert values(numbers) == values(before[example]), (
                f"{example}: only problems with a verdict of both cells count, so those of one change no number"
            )

    def test_equal_cells_give_equal_numbers_in_every_process(self) -> None:
        """Reports are written again from the stored results."""
        part, pairs = self.part(), self.pairs()
        with no_global_generator():
            first = repr(measured(part, pairs))
        assert repr(measured(part, pairs)) == first, "equal cells give equal numbers"
        there = elsewhere(_numbers_of, self.spec(), pairs)
        assert there == first, "another process gives the same numbers"


def _drawn(cell: ProblemRates, again: Sequence[float]) -> ProblemRates:
    by_draw = {task: (rate, more) for (task, rate), more in zip(cell.rates.items(), again, strict=True)}
    means = {task: sum(shares) / 2 for task, shares in by_draw.items()}
    return replace(cell, rates=means, draws=2, by_draw=by_draw)


def _with_problem(cell: ProblemRates, task: str, rate: float) -> ProblemRates:
    return replace(cell, rates={**cell.rates, task: rate}, clean=cell.clean and {**cell.clean, task: rate})


def _numbers_of(spec: Spec, pairs: Mapping[str, Pair]) -> str:
    return repr(measured(COMPARISONS.create(spec), pairs))
