"""Runs textattack's beam search on a prompt's words: makes the tests fail by a small change that leaves code alone.

Here are its goal and its two constraints; its transformations are in `raysweep.tools.attack.transformation`. `Queries`
sends prompts to the model and counts them: textattack's own count includes repeated prompts, and its cache is shared by
tasks with equal texts, so neither is used.

Not covered by `keep_code`: transformations that choose the words to change themselves (``WordInnerSwapRandom``).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from raysweep.perturbations.base import Perturbation
from raysweep.perturbations.textattack.loading import load_textattack
from raysweep.perturbations.textattack.words import Split, free_words, split_by_last_function
from raysweep.tools.attack.queries import Queries, Reaction
from raysweep.tools.attack.transformation import as_transformation, segments_of
from raysweep.tools.attack.word_changes import Change, word_edits

CANDIDATES = 24
"""Candidates for each word and method."""
BEAM_WIDTH = 4
FAILURE_SCORE = 1.0
"""The score of a text under which the model fails; all other scores are lower."""
DISTANCE_WEIGHT = 0.9
"""The score of a text that the model still solves, for an answer as far as possible from the clean one."""


def search_words(queries: Queries, methods: Sequence[Perturbation], seed: int) -> None:
    """Try variants until the model fails, none is left or the budget is spent; raise UsageError without textattack."""
    load_textattack()
    from textattack import Attack
    from textattack.search_methods import BeamSearch
    from textattack.transformations import CompositeTransformation

    segments = queries.target.segments
    transformations = [
        as_transformation(method, candidates=CANDIDATES, seed=seed, split=lambda _: segments) for method in methods
    ]
    constraints = [keep_code(lambda _: segments), small_change(queries)]
    attack = Attack(tests_fail(queries), constraints, CompositeTransformation(transformations), BeamSearch(BEAM_WIDTH))
    attack.attack(queries.target.prompt, queries.target.task_id)


def _change_of(text: Any, queries: Queries) -> Change:
    segments = queries.target.segments
    return word_edits(segments, segments_of(text, lambda _: segments))


def tests_fail(queries: Queries) -> Any:
    """Return the ``GoalFunction`` "the tests fail" on one prompt."""
    from textattack.goal_function_results import GoalFunctionResult
    from textattack.goal_functions import GoalFunction

    class TestsFailResult(GoalFunctionResult):  # type: ignore[misc]
        """A prompt with the verdict on the model's program."""

        def get_text_color_input(self) -> str:
            return "red"

        def get_text_color_perturbed(self) -> str:
            return "blue"

        def get_colored_output(self, color_method: str | None = None) -> str:
            return str(self.output)

    class TestsFail(GoalFunction):  # type: ignore[misc]
        """The goal that the tests fail. Before that, the score is the answer's distance, which guides the search."""

        def get_results(self, attacked_text_list: Sequence[Any], check_skip: bool = False) -> tuple[list[Any], bool]:
            """Return the results of the first texts, as many as the budget allows, and whether it is used up."""
            reactions = queries.ask([_change_of(text, queries) for text in attacked_text_list])
            self.num_queries = queries.count
            answered = zip(attacked_text_list, reactions, strict=False)
            return [self._result(text, reaction, check_skip) for text, reaction in answered], not queries.left

        def _result(self, text: Any, reaction: Reaction, check_skip: bool) -> Any:
            status, score = self._get_goal_status(reaction, text, check_skip), self._get_score(reaction, text)
            output = "passed" if reaction.passed else "failed"
            return TestsFailResult(text, output, output, status, score, self.num_queries, self.ground_truth_output)

        def _is_goal_complete(self, model_output: Reaction, _: Any) -> bool:
            return not model_output.passed

        def _get_score(self, model_output: Reaction, _: Any) -> float:
            return DISTANCE_WEIGHT * model_output.distance if model_output.passed else FAILURE_SCORE

        def _goal_function_result_type(self) -> Any:
            return TestsFailResult

        def _process_model_outputs(self, inputs: Any, outputs: Any) -> Any:
            return outputs

    return TestsFail(SimpleNamespace(model=None), use_cache=False)


def small_change(queries: Queries) -> Any:
    from textattack.constraints import Constraint

    class SmallChange(Constraint):  # type: ignore[misc]
        """Limits how many words and characters differ from the clean prompt."""

        def _check_constraint(self, transformed_text: Any, reference_text: Any) -> bool:
            return queries.allows(_change_of(transformed_text, queries))

    return SmallChange(compare_against_original=True)


def keep_code(split: Split = split_by_last_function) -> Any:
    """Return the ``PreTransformationConstraint`` that code stays; raise UsageError without textattack."""
    load_textattack()
    from textattack.constraints import PreTransformationConstraint

    class KeepCode(PreTransformationConstraint):  # type: ignore[misc]
        """Allows changes only of natural-language words that are no identifiers."""

        def _get_modifiable_indices(self, current_text: Any) -> set[int]:
            return free_words(current_text, split)

    return KeepCode()
