"""A textattack search method for small budgets: chooses the words to change by their importance.

textattack's `GreedyWordSwapWIR` (Jin et al. 2020, https://arxiv.org/abs/1907.11932) ranks the words first, with one
query for each word, in which it deletes the word; this can use up a small budget before the first attempt. Here every
query is an attempt that changes as many words as allowed. The first round tries the largest change of each word; the
score of that attempt is the word's importance. After that, words are drawn in proportion to their importance, and half
of the texts take the best one so far, undo the change of one word, and change others.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from raysweep.language.stop_words import STOP_WORDS
from raysweep.perturbations.textattack.loading import load_textattack
from raysweep.seeding import python_rng
from raysweep.tools.attack.queries import Queries
from raysweep.tools.attack.transformation import segments_of, text_of
from raysweep.tools.attack.word_changes import Change, apply_edits, size_of, word_edits

_BATCH = 8
"""Number of texts that are sent to the model before the importances are updated."""
_TRIES = 10
"""Draws for each text of a batch; the search ends if none of them gives a new text."""
_MIN_WEIGHT = 0.05
"""Weight of a word with importance 0: its change may still matter together with others."""

Choice = Mapping[int, Change]
"""The words that one text changes, by index, each with its edits of the clean text."""


def word_importance(queries: Queries, seed: int) -> Any:
    """Return the ``SearchMethod`` for one prompt.

    Args:
        queries: of the prompt, with the limits of a change.
        seed: of the search's draws.

    Raises:
        UsageError: textattack isn't installed.
    """
    return _search_class()(queries, seed)


class RankedWords:
    """The words of one text, each with its candidate changes and its importance so far.

    Args:
        changes: the candidate changes of each word, by its index, the largest first.
        queries: with the limits of a change.
        rng: for all draws.
    """

    def __init__(self, changes: Mapping[int, Sequence[Change]], queries: Queries, rng: random.Random) -> None:
        self._changes = {word: list(candidates) for word, candidates in changes.items() if candidates}
        self._queries, self._rng = queries, rng
        self._importance = dict.fromkeys(self._changes, 0.0)
        self._best: Choice = {}
        self._score = 0.0

    def first_round(self) -> Iterator[Choice]:
        """Yield choices that contain the largest change of each word once, as many words in each as allowed."""
        chosen: dict[int, Change] = {}
        for word, changes in self._changes.items():
            if not self._fits({**chosen, word: changes[0]}):
                yield chosen
                chosen = {}
            chosen[word] = changes[0]
        if chosen:
            yield chosen

    def next_batch(self, tried: set[str]) -> list[Choice]:
        """Return choices that give texts outside `tried`; none if repeated draws give no new text."""
        batch: dict[str, Choice] = {}
        for _ in range(_TRIES * _BATCH):
            choice = self._draw()
            text = self._queries.target.after(edits_of(choice))
            if text not in tried and len(batch) < _BATCH:
                batch.setdefault(text, choice)
        return list(batch.values())

    def _draw(self) -> Choice:
        """Return a choice whose words are drawn by importance."""
        chosen: dict[int, Change] = {}
        if self._best and self._rng.random() < 0.5:
            chosen = dict(self._best)
            del chosen[self._rng.choice(list(chosen))]
        weights = {word: self._importance[word] + _MIN_WEIGHT for word in self._changes if word not in chosen}
        while weights:
            (word,) = self._rng.choices(list(weights), list(weights.values()))
            del weights[word]
            larger = {**chosen, word: self._rng.choice(self._changes[word])}
            if self._fits(larger):
                chosen = larger
            if sum(len(edits) for edits in chosen.values()) >= self._queries.max_change.words:
                break
        return chosen

    def learn(self, choice: Choice, score: float) -> None:
        """Update the importances and the best choice with the score of a choice."""
        for word in choice:
            self._importance[word] = max(self._importance[word], score)
        if score > self._score:
            self._best, self._score = choice, score

    def _fits(self, choice: Choice) -> bool:
        """Return whether the choice's edits don't overlap and stay within the limits."""
        edits = edits_of(choice)
        disjoint = all(left.segment < right.segment or left.end <= right.start for left, right in pairwise(edits))
        return disjoint and self._queries.allows(edits)


def edits_of(choice: Choice) -> Change:
    """Return the edits of a choice in the order of the text."""
    return tuple(sorted(edit for edits in choice.values() for edit in edits))


@cache
def _search_class() -> Any:
    load_textattack()
    from textattack.goal_function_results import GoalFunctionResultStatus
    from textattack.search_methods import SearchMethod

    class WordImportance(SearchMethod):  # type: ignore[misc]
        """Draws the words to change by how strongly the model reacted to their changes."""

        is_black_box = True

        def __init__(self, queries: Queries, seed: int) -> None:
            self.queries, self.seed = queries, seed

        def perform_search(self, initial_result: Any) -> Any:
            clean, segments = initial_result.attacked_text, self.queries.target.segments
            words = RankedWords(self._changes(clean), self.queries, python_rng(self.seed, "importance", clean.text))
            tried, best = {clean.text}, initial_result
            choices = list(words.first_round())
            while choices:
                changed = [text_of(apply_edits(segments, edits_of(choice))) for choice in choices]
                texts = {text.text: choice for text, choice in zip(changed, choices, strict=True)}
                tried.update(texts)
                results, budget_used_up = self.get_goal_results(changed)
                for result in results:
                    words.learn(texts[result.attacked_text.text], result.score)
                best = max([best, *results], key=lambda result: result.score)
                if budget_used_up or best.goal_status == GoalFunctionResultStatus.SUCCEEDED:
                    return best
                choices = words.next_batch(tried)
            return best

        def _changes(self, clean: Any) -> dict[int, list[Change]]:
            """Return the changes of each word, the largest first; content words and long words come first."""

            def rank(index: int) -> tuple[bool, int, int]:
                word = clean.words[index]
                return word.lower() in STOP_WORDS, -len(word), index

            segments = self.queries.target.segments
            _, free = self.get_indices_to_order(clean)
            changes = {}
            for index in sorted(free, key=rank):
                texts = self.get_transformations(clean, original_text=clean, indices_to_modify=[index])
                texts.sort(key=lambda new: new.text)
                edits = [word_edits(segments, segments_of(text, lambda _: segments)) for text in texts]
                changes[index] = sorted(edits, key=lambda change: -size_of(change).characters)
            return changes

        def extra_repr_keys(self) -> list[str]:
            return ["seed"]

    return WordImportance
