"""The contract of metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite, isnan
from typing import Any, ClassVar

import pytest

from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric
from raysweep.programs import Outcome
from raysweep.records import PromptRow, Result, Spec
from raysweep.testing.contract import WithoutArguments, elsewhere, no_global_generator

OUTCOMES = {
    "+": Outcome.PASSED,
    "-": Outcome.FAILED,
    "x": Outcome.EXCEPTION,
    "s": Outcome.SYNTAX_ERROR,
    "c": Outcome.COMPILE_ERROR,
    "t": Outcome.TIMEOUT,
    "m": Outcome.MEMORY,
    "o": Outcome.OUTPUT_LIMIT,
    "k": Outcome.KILLED,
    "?": Outcome.HARNESS_ERROR,
}
"""The outcomes of completions by the characters that `results` takes."""
ROUNDING = 1e-9
"""How far a value may lie outside its interval: means of the same numbers differ by less."""


def results(verdicts: str, samples: int = 1) -> tuple[Result, ...]:
    """Return the results that a text describes: a character of `OUTCOMES` for each sample, problem by problem."""
    return tuple(
        Result(f"task/{at // samples:02d}", at % samples, OUTCOMES[verdict], "", "", 0.1, f"{at:064d}")
        for at, verdict in enumerate(verdicts)
    )


def prompts(count: int) -> tuple[PromptRow, ...]:
    """Return prompts after a perturbation; every third is as it was, and one no longer compiles."""
    return tuple(
        PromptRow(f"task/{n:02d}", f"prmpt {n}" if n % 3 else f"prompt {n}", f"prompt {n}", "C1", n % 3 > 0, n != 1)
        for n in range(count)
    )


class MetricContract(WithoutArguments):
    """Tests of what docs/contracts.md asks of a metric.

    Attributes:
        make: to be set, see `Contract`; it is called without arguments.
        cell: the labels of the model that is measured.
    """

    make: Callable[..., Metric]
    registry = METRICS
    cell: ClassVar[CellLabels] = CellLabels("model", "full", "C1", 42)

    def evaluations(self) -> Mapping[str, Evaluation]:
        """Return examples by what they are. Override it for a metric that needs others to have a number."""
        clean, noisy, other = "++++x+-t++s+", "+x+s-+mt+-k+", "-+x+os+-+kt+"
        perturbed = Evaluation("examples", "C1", results(noisy), prompts(12), results(clean))
        several = Evaluation("examples", "C1", results(noisy + other, 2), prompts(12), results(clean + clean, 2))
        return {
            "clean prompts": Evaluation("examples", "clean", results(clean)),
            "perturbed prompts": perturbed,
            "perturbed prompts without clean ones": replace(perturbed, clean=None),
            "a test set that the store no longer has": replace(perturbed, prompts=()),
            "two completions of each prompt": several,
            "two draws of the noise": replace(perturbed, more_draws=(results(other),), more_prompts=(prompts(12),)),
            "one problem": Evaluation("examples", "C1", results("+"), prompts(1), results("+")),
            "all pass": Evaluation("examples", "C1", results("+" * 12), prompts(12), results("+" * 12)),
            "all fail": Evaluation("examples", "C1", results("-" * 12), prompts(12), results("-" * 12)),
            "harness errors alone": Evaluation("examples", "C1", results("?" * 12), (), results("?" * 12)),
            "patches": Evaluation(  # the published one where it passes
                "examples", "clean", tuple(replace(one, exact=one.outcome == Outcome.PASSED) for one in results(clean))
            ),
            "no results": Evaluation("examples", "C1", (), (), ()),
        }

    def measured(self, evaluations: Mapping[str, Evaluation] | None = None) -> dict[str, list[Measurement]]:
        """Return the numbers of each example; fail at the first error of `measure`."""
        part, numbers = self.part(), {}
        for example, evaluation in (evaluations or self.evaluations()).items():
            try:
                numbers[example] = part.measure(evaluation, self.cell)
            except Exception as error:
                pytest.fail(
                    f"{example}: measure() raises nothing: what it can't tell is an undefined number with the reason "
                    f"in `note`, and not {error!r}"
                )
        return numbers

    def test_its_numbers_have_names(self) -> None:
        for example, numbers in self.measured().items():
            assert isinstance(numbers, list) and all(isinstance(number, Measurement) for number in numbers), (
                f"{example}: measure() returns a list of Measurement"
            )
            names = [number.metric for number in numbers]
            has_own = all(names) and len(set(names)) == len(names)
            assert has_own, f"{example}: each number has a name of its own: {names}"

    def test_an_example_has_a_number(self) -> None:
        """A part that never applies measures nothing."""
        assert any(self.measured().values()), f"at least one example has a number: {', '.join(self.evaluations())}"

    def test_undefined_numbers_are_nan_with_the_reason(self) -> None:
        for example, numbers in self.measured().items():
            for number in numbers:
                assert isnan(number.value) or isfinite(number.value), (
                    f"{example}: {number.metric} is NaN where it is undefined"
                )
                assert not isnan(number.value) or number.note, (
                    f"{example}: {number.metric} is undefined, and `note` has the reason"
                )
                assert number.n > 0 or isnan(number.value), (
                    f"{example}: {number.metric} rests on no problem, so it is undefined: NaN with the reason, never 0"
                )

    def test_n_counts_problems(self) -> None:
        evaluations = self.evaluations()
        for example, numbers in self.measured().items():
            draws = (evaluations[example].results, *evaluations[example].more_draws)
            judged = [one for draw in draws for one in draw if one.outcome is not Outcome.HARNESS_ERROR]
            problems = len({result.task_id for result in judged})
            for number in numbers:
                is_count = isinstance(number.n, int) and 0 <= number.n <= problems
                assert is_count, (
                    f"{example}: {number.metric} has n = {number.n!r}; n is the number of problems that it rests on, "
                    f"here at most {problems}"
                )

    def test_values_lie_in_their_intervals(self) -> None:
        """`low` and `high` are the ends of a 95 % interval."""
        for example, numbers in self.measured().items():
            for number in numbers:
                has_none = isnan(number.low) and isnan(number.high)
                holds = number.low - ROUNDING <= number.value <= number.high + ROUNDING
                assert has_none or holds, (
                    f"{example}: {number.metric} is {number.value}, outside its interval from {number.low} "
                    f"to {number.high}; where there is no interval, both ends are NaN"
                )

    def test_harness_errors_are_left_out(self) -> None:
        before = self.measured()
        more = {
            example: replace(evaluation, results=_with_errors(evaluation.results))
            for example, evaluation in self.evaluations().items()
        }
        for example, numbers in self.measured(more).items():
            assert _values(numbers) == _values(before[example]), (
                f"{example}: harness errors are no verdicts and are left out, so further ones change no number"
            )

    def test_equal_evaluations_give_equal_numbers_in_every_process(self) -> None:
        """Reports are written again from the stored results."""
        with no_global_generator():
            first = repr(self.measured())
        assert repr(self.measured()) == first, "equal evaluations give equal numbers"
        there = elsewhere(_numbers_of, self.spec(), self.evaluations(), self.cell)
        assert there == first, "another process gives the same numbers"


def _with_errors(judged: tuple[Result, ...]) -> tuple[Result, ...]:
    """Return results with one more sample of each problem, and one more problem, without verdicts."""
    last = {result.task_id: result for result in judged}
    error = Outcome.HARNESS_ERROR
    more = [replace(result, sample=result.sample + 1, outcome=error) for result in last.values()]
    more.append(Result("task/99", 0, error, "", "", 0.1, "9" * 64))
    return tuple(sorted([*judged, *more], key=lambda result: (result.task_id, result.sample)))


def _numbers_of(spec: Spec, evaluations: Mapping[str, Evaluation], cell: CellLabels) -> str:
    part = METRICS.create(spec)
    return repr({example: part.measure(evaluation, cell) for example, evaluation in evaluations.items()})


def _values(numbers: Sequence[Measurement]) -> list[tuple[Any, ...]]:
    return [(number.metric, repr(number.value), repr(number.low), repr(number.high), number.n) for number in numbers]
