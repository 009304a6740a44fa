"""The contract of metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Metric
from raysweep.programs import Outcome
from raysweep.records import PromptRow, Result, Spec
from raysweep.testing.contract import elsewhere, no_global_generator
from raysweep.testing.measurements import MeasurementContract, measured, values

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


def results(verdicts: str, samples: int = 1) -> tuple[Result, ...]:
    """Return the results that a text describes.

    Args:
        verdicts: one character of `OUTCOMES` for each sample of each problem, problem by problem.
        samples: completions of a problem.
    """
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


class MetricContract(MeasurementContract):
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
            "patches": Evaluation("examples", "clean", tuple(_as_patch(result) for result in results(clean))),
            "no results": Evaluation("examples", "C1", (), (), ()),
        }

    def examples(self) -> Mapping[str, tuple[Evaluation, CellLabels]]:
        return {example: (evaluation, self.cell) for example, evaluation in self.evaluations().items()}

    def problems(self, *arguments: Any) -> int:
        """Return how many problems have a verdict on the test set, or on one of its further draws."""
        evaluation: Evaluation = arguments[0]
        results = [result for draw in (evaluation.results, *evaluation.more_draws) for result in draw]
        return len({result.task_id for result in results if result.outcome is not Outcome.HARNESS_ERROR})

    def test_harness_errors_are_left_out(self) -> None:
        """They are no verdicts."""
        before = self.measured()
        more = {
            example: (replace(evaluation, results=_with_errors(evaluation.results)), self.cell)
            for example, evaluation in self.evaluations().items()
        }
        for example, numbers in measured(self.part(), more).items():
            assert values(numbers) == values(before[example]), (
                f"{example}: harness errors are no verdicts and are left out, so further ones change no number"
            )

    def test_equal_evaluations_give_equal_numbers_in_every_process(self) -> None:
        """Reports are written again from the stored results."""
        part, examples = self.part(), self.examples()
        with no_global_generator():
            first = repr(measured(part, examples))
        assert repr(measured(part, examples)) == first, "equal evaluations give equal numbers"
        there = elsewhere(_numbers_of, self.spec(), examples)
        assert there == first, "another process gives the same numbers"


def _as_patch(result: Result) -> Result:
    """Return the result of an answer that was asked for a patch, the published one if it passes."""
    return replace(result, exact=result.outcome == Outcome.PASSED)


def _with_errors(judged: tuple[Result, ...]) -> tuple[Result, ...]:
    """Return results with one more sample of each problem, and one more problem, without verdicts."""
    last = {result.task_id: result for result in judged}
    error = Outcome.HARNESS_ERROR
    more = [replace(result, sample=result.sample + 1, outcome=error) for result in last.values()]
    more.append(Result("task/99", 0, error, "", "", 0.1, "9" * 64))
    return tuple(sorted([*judged, *more], key=lambda result: (result.task_id, result.sample)))


def _numbers_of(spec: Spec, examples: Mapping[str, tuple[Evaluation, CellLabels]]) -> str:
    return repr(measured(METRICS.create(spec), examples))
