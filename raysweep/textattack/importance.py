"""Search method for textattack: words in the order of their importance, for small budgets.

textattack's `GreedyWordSwapWIR` (Jin et al. 2020, https://arxiv.org/abs/1907.11932) asks the model once a word, with
the word deleted, before it tries anything, and so has used up a small budget before it begins. Here a word's
importance is what its strongest change does, which is an attempt already. Then the words are gone through by
importance, a few changes at a time, each added to the best one so far as far as the limit on changed words allows.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from raysweep.language.stop_words import STOP_WORDS
from raysweep.perturbations.word_changes import size_of
from raysweep.textattack.loading import load_textattack

_STEP = 4
"""Changes of one word that the model is asked about before the next word's turn."""


def word_importance() -> Any:
    """Return the ``SearchMethod``; raise UsageError without textattack."""
    return _search_class()()


def _search_order(words: list[str], indices: list[int]) -> list[int]:
    """Return the words' indices, content words first, long ones before short ones."""
    return sorted(indices, key=lambda index: (words[index].lower() in STOP_WORDS, -len(words[index]), index))


@cache
def _search_class() -> Any:
    load_textattack()
    from textattack.goal_function_results import GoalFunctionResultStatus
    from textattack.search_methods import SearchMethod

    class WordImportance(SearchMethod):  # type: ignore[misc]
        """Greedy, by what changing each word does."""

        is_black_box = True

        def perform_search(self, initial_result: Any) -> Any:
            clean = initial_result.attacked_text
            _, free = self.get_indices_to_order(clean)
            queues = {index: self._changes(clean, clean, index) for index in _search_order(clean.words, free)}
            first = {index: queue.pop(0) for index, queue in queues.items() if queue}
            best, over = self._ask(initial_result, list(first.values()))
            if over:
                return best
            scores = dict(
                zip(first, (result.score for result in self.get_goal_results(list(first.values()))[0]), strict=True)
            )
            order = sorted(first, key=lambda index: -scores[index])
            while any(queues.values()):
                for index in order:
                    step, queues[index] = queues[index][:_STEP], queues[index][_STEP:]
                    if best is not initial_result:
                        step += self._changes(clean, best.attacked_text, index)[:_STEP]
                    best, over = self._ask(best, step)
                    if over:
                        return best
            return best

        def _changes(self, clean: Any, text: Any, index: int) -> list[Any]:
            """Return the changes of one word, given its index in the clean text, the largest first."""
            made = self.get_transformations(text, original_text=clean, indices_to_modify=[index], shifted_idxs=True)
            return sorted(made, key=lambda new: (-size_of(text.text, new.text).characters, new.text))

        def _ask(self, best: Any, texts: list[Any]) -> tuple[Any, bool]:
            """Return the best result so far, and whether the search is over."""
            results, spent = self.get_goal_results(texts)
            best = max([best, *results], key=lambda result: result.score)
            return best, spent or best.goal_status == GoalFunctionResultStatus.SUCCEEDED

    return WordImportance
