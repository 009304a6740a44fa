"""Attacks one prompt by textattack: its ``Attack`` with our goal, its search methods, constraints and results.

- ``random``, the control: each query changes words drawn at random, as many as allowed.
- ``greedy``: textattack's `GreedyWordSwapWIR` (Jin et al. 2020, https://arxiv.org/abs/1907.11932) first asks for the
  prompt without each of its words, then changes the words one after the other, those first that were missed most.

textattack counts queries: each prompt that a search sends is one, a repeated one too.

Not covered: generating and judging the answers (`raysweep.tools.attack.run`), limits on meaning that need another
model, and an order of words with equal scores that is the same on each kind of CPU: numpy sorts them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

from raysweep.perturbations.base import Perturbation
from raysweep.perturbations.textattack.loading import load_textattack
from raysweep.records import Segment
from raysweep.seeding import python_rng
from raysweep.tools.attack.transformation import keep_code, word_swaps

RANDOM, GREEDY = "random", "greedy"
SEARCHES = (RANDOM, GREEDY)
FAILED_TESTS = 1.0
"""The score of a prompt under which the model fails the tests. All others are lower."""
_BATCH = 8
"""Number of random prompts that are sent to the model at a time."""

Judge = Callable[[Sequence[str]], Sequence[float]]
"""Sends prompts to the model and returns one score for each, in the same order: `FAILED_TESTS`, or how far from the
clean prompt's answer it answers, from 0 (the same) to below 1."""


class AttackOutcome(StrEnum):
    """How an attack on one problem ended, by textattack's results."""

    SKIPPED = "skipped"  # the model fails on the clean prompt
    FAILED = "failed"  # the model passed with every changed prompt
    SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True)
class AttackResult:
    """The result of one search on one problem."""

    task_id: str
    search: str  # one of `SEARCHES`
    outcome: str  # an `AttackOutcome`
    queries: int  # by textattack's count, with the clean prompt
    prompt: str  # the changed prompt that makes the model fail; empty without one
    words: int  # number of changed words in `prompt`; an inserted word counts, too
    word_share: float  # their share among the natural-language words


def attack(
    task_id: str,
    segments: Sequence[Segment],
    protected: frozenset[str],
    methods: Sequence[Perturbation],
    judge: Judge,
    *,
    search: str,
    budget: int,
    max_changed: float,
    seed: int,
) -> AttackResult:
    """Search for a change of one prompt that makes a model fail; raise UsageError without textattack.

    `segments`: the prompt; its natural words may change, without those in `protected`. `methods`: perturbations of
    characters or words, no mixes. `search`: one of `SEARCHES`. `budget`: number of queries, with the clean prompt.
    `max_changed`: share of the natural-language words that may change, at least one word. `seed`: equal seeds and task
    ids give equal queries in every process.
    """
    load_textattack()
    from textattack import Attack
    from textattack.attack_results import SkippedAttackResult, SuccessfulAttackResult
    from textattack.constraints.pre_transformation import MaxModificationRate, RepeatModification
    from textattack.search_methods import GreedyWordSwapWIR

    words = sum(len(segment.text.split()) for segment in segments if segment.natural)
    result = Attack(
        _tests_fail(judge, budget),
        [
            RepeatModification(),
            MaxModificationRate(0.0, max(1, int(max_changed * words))),
            keep_code(segments, protected),
        ],
        word_swaps(methods, protected, seed),
        _random_swaps(python_rng(seed, "attack", task_id), budget) if search == RANDOM else GreedyWordSwapWIR("delete"),
    ).attack("".join(segment.text for segment in segments), task_id)
    if not isinstance(result, SuccessfulAttackResult):
        skipped = isinstance(result, SkippedAttackResult)
        outcome = AttackOutcome.SKIPPED if skipped else AttackOutcome.FAILED
        return AttackResult(task_id, search, outcome, result.num_queries, "", 0, 0.0)
    text = result.perturbed_result.attacked_text
    changed = len(text.attack_attrs["modified_indices"])
    return AttackResult(
        task_id, search, AttackOutcome.SUCCEEDED, result.num_queries, text.text, changed, changed / words
    )


def _tests_fail(judge: Judge, budget: int) -> Any:
    """Return the ``GoalFunction`` that the tests fail."""
    from textattack.goal_functions import TextToTextGoalFunction

    class TestsFail(TextToTextGoalFunction):  # type: ignore[misc]
        """The goal that the tests fail. Before that, the score is the answer's distance from the clean one."""

        def _call_model_uncached(self, attacked_text_list: Sequence[Any]) -> Sequence[float]:
            return judge([text.text for text in attacked_text_list]) if attacked_text_list else []

        def _is_goal_complete(self, model_output: float, _: Any) -> bool:
            return model_output == FAILED_TESTS

        def _get_score(self, model_output: float, _: Any) -> float:
            return model_output

    return TestsFail(SimpleNamespace(model=None), query_budget=budget)


def _random_swaps(rng: random.Random, budget: int) -> Any:
    """Return the ``SearchMethod`` that is the control."""
    from textattack.search_methods import SearchMethod

    class RandomSwaps(SearchMethod):  # type: ignore[misc]
        """Swaps words at random, as many as the constraints allow, until a prompt fails or the budget is used up."""

        is_black_box = True

        def perform_search(self, initial_result: Any) -> Any:
            result, asked = initial_result, {initial_result.attacked_text.text}
            for _ in range(budget):
                texts = {text.text: text for text in (self._draw(initial_result.attacked_text) for _ in range(_BATCH))}
                results, over = self.get_goal_results([texts[text] for text in texts if text not in asked])
                asked.update(texts)
                result = max([result, *results], key=lambda one: one.score)
                if over or result.score == FAILED_TESTS:
                    break
            return result

        def _draw(self, original: Any) -> Any:
            text, (_, indices) = original, self.get_indices_to_order(original)
            for index in rng.sample(sorted(indices), len(indices)):
                found = self.get_transformations(
                    text, original_text=original, indices_to_modify=[index], shifted_idxs=True
                )
                text = rng.choice(found) if found else text
            return text

    return RandomSwaps()
