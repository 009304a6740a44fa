"""What an attack wants, as textattack's classes: a model whose program fails its tests, after a small change."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

from raysweep.perturbations.queries import Queries, Reaction
from raysweep.textattack.loading import load_textattack

FAILS = 1.0
"""The score of a text under which the model fails; below it, how far the model's answer moved."""


def tests_fail(queries: Queries) -> Any:
    """Return the ``GoalFunction`` "the tests fail" on one prompt; raise UsageError without textattack."""
    return _goal_class()(queries)


def small_change(queries: Queries) -> Any:
    """Return the ``Constraint`` that no more differs from the prompt than is allowed; UsageError without textattack."""
    return _constraint_class()(queries)


@cache
def _goal_class() -> Any:
    load_textattack()
    from textattack.goal_functions import GoalFunction

    result_class = _result_class()

    class TestsFail(GoalFunction):  # type: ignore[misc]
        """The tests fail. The score tells how far the answer moved, so that a search is led before anything fails."""

        def __init__(self, queries: Queries) -> None:
            super().__init__(SimpleNamespace(model=None), use_cache=False)
            self.queries = queries

        def get_results(self, attacked_text_list: Sequence[Any], check_skip: bool = False) -> tuple[list[Any], bool]:
            """Return the results of the first texts, as many as the budget allows, and whether it is used up."""
            reactions = self.queries.ask([text.text for text in attacked_text_list])
            self.num_queries = self.queries.count
            made = [
                self._result(text, reaction, check_skip)
                for text, reaction in zip(attacked_text_list, reactions, strict=False)
            ]
            return made, not self.queries.left

        def _result(self, text: Any, reaction: Reaction, check_skip: bool) -> Any:
            status, score = self._get_goal_status(reaction, text, check_skip), self._get_score(reaction, text)
            shown = "passed" if reaction.passed else "failed"
            return result_class(text, shown, shown, status, score, self.num_queries, self.ground_truth_output)

        def _is_goal_complete(self, model_output: Reaction, _: Any) -> bool:
            return not model_output.passed

        def _get_score(self, model_output: Reaction, _: Any) -> float:
            return 0.9 * model_output.moved if model_output.passed else FAILS

        def _goal_function_result_type(self) -> Any:
            return result_class

        def _process_model_outputs(self, inputs: Any, outputs: Any) -> Any:
            return outputs

    return TestsFail


@cache
def _result_class() -> Any:
    from textattack.goal_function_results import GoalFunctionResult

    class TestsFailResult(GoalFunctionResult):  # type: ignore[misc]
        """A prompt with what the model made of it."""

        def get_text_color_input(self) -> str:
            return "red"

        def get_text_color_perturbed(self) -> str:
            return "blue"

        def get_colored_output(self, color_method: str | None = None) -> str:
            return str(self.output)

    return TestsFailResult


@cache
def _constraint_class() -> Any:
    load_textattack()
    from textattack.constraints import Constraint

    class SmallChange(Constraint):  # type: ignore[misc]
        """Only so much may differ from the original."""

        def __init__(self, queries: Queries) -> None:
            super().__init__(compare_against_original=True)
            self.queries = queries

        def _check_constraint(self, transformed_text: Any, reference_text: Any) -> bool:
            return self.queries.allows(transformed_text.text)

    return SmallChange
