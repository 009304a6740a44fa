"""Search method for textattack: words by their importance, for small budgets.

textattack's `GreedyWordSwapWIR` (Jin et al. 2020, https://arxiv.org/abs/1907.11932) asks the model once a word, with
the word deleted, before it tries anything, and so has used up a small budget before it begins. Here every query is an
attempt that changes as many words as are allowed. At first each word has its turn once, with its largest change; what
the model then did is the word's importance. From then on words are drawn by importance, and half of the texts are made
of the best one so far by changing one more word in place of another.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from raysweep.language.stop_words import STOP_WORDS
from raysweep.perturbations.queries import Queries
from raysweep.perturbations.word_changes import WordEdit, applied, size_of, word_edits
from raysweep.seeding import python_rng
from raysweep.textattack.loading import load_textattack

_STEP = 8
"""Texts that the model is asked about before importance is looked at again."""
_TRIES = 10
"""Draws for each text wanted, until there are said to be no new ones."""
_LEAST = 0.05
"""Importance of a word whose change moved nothing: it may matter beside others."""

Choice = Mapping[int, list[WordEdit]]
"""The words that one text changes, each with its edits of the clean text."""


def word_importance(queries: Queries, seed: int) -> Any:
    """Return the ``SearchMethod``.

    Args:
        queries: know how much may change.
        seed: of its draws.

    Raises:
        UsageError: textattack isn't installed.
    """
    return _search_class()(queries, seed)


class Words:
    """The words of one text with the changes there are for each, and how important each has turned out to be."""

    def __init__(self, changes: Mapping[int, Sequence[list[WordEdit]]], queries: Queries, rng: random.Random) -> None:
        self._changes = {word: list(found) for word, found in changes.items() if found}
        self._queries, self._rng = queries, rng
        self._importance = dict.fromkeys(self._changes, 0.0)
        self._best: Choice = {}
        self._score = 0.0

    def first(self) -> Iterator[Choice]:
        """Yield choices in which each word has its largest change once, as many words together as are allowed."""
        chosen: dict[int, list[WordEdit]] = {}
        for word, changes in self._changes.items():
            if not self._fits({**chosen, word: changes[0]}):
                yield chosen
                chosen = {}
            chosen[word] = changes[0]
        if chosen:
            yield chosen

    def next(self, clean: str, asked: set[str]) -> list[Choice]:
        """Return the next choices, of texts that were not asked; none when there seem to be no more."""
        found: dict[str, Choice] = {}
        for _ in range(_TRIES * _STEP):
            choice = self._draw()
            text = applied(clean, edits_of(choice))
            if text not in asked and len(found) < _STEP:
                found.setdefault(text, choice)
        return list(found.values())

    def _draw(self) -> Choice:
        """Return a choice drawn by importance."""
        chosen: dict[int, list[WordEdit]] = {}
        if self._best and self._rng.random() < 0.5:
            chosen = dict(self._best)
            del chosen[self._rng.choice(list(chosen))]
        weights = {word: self._importance[word] + _LEAST for word in self._changes if word not in chosen}
        while weights:
            (word,) = self._rng.choices(list(weights), list(weights.values()))
            del weights[word]
            more = {**chosen, word: self._rng.choice(self._changes[word])}
            if self._fits(more):
                chosen = more
            if sum(len(edits) for edits in chosen.values()) >= self._queries.most.words:
                break
        return chosen

    def learn(self, choice: Choice, score: float) -> None:
        """Note what the model made of a choice; the best one is what later ones are made of."""
        for word in choice:
            self._importance[word] = max(self._importance[word], score)
        if score > self._score:
            self._best, self._score = choice, score

    def _fits(self, choice: Choice) -> bool:
        edits = edits_of(choice)
        apart = all(left.end <= right.start for left, right in pairwise(edits))
        return apart and self._queries.allows(applied(self._queries.target.prompt, edits))


def edits_of(choice: Choice) -> list[WordEdit]:
    """Return the edits of a choice in the order of the text."""
    return sorted(edit for edits in choice.values() for edit in edits)


@cache
def _search_class() -> Any:
    load_textattack()
    from textattack.goal_function_results import GoalFunctionResultStatus
    from textattack.search_methods import SearchMethod
    from textattack.shared import AttackedText

    class WordImportance(SearchMethod):  # type: ignore[misc]
        """Attempts led by what changing each word does."""

        is_black_box = True

        def __init__(self, queries: Queries, seed: int) -> None:
            self.queries, self.seed = queries, seed

        def perform_search(self, initial_result: Any) -> Any:
            clean = initial_result.attacked_text
            words = Words(self._changes(clean), self.queries, python_rng(self.seed, "importance", clean.text))
            asked, best = {clean.text}, initial_result
            choices = list(words.first())
            while choices:
                texts = {applied(clean.text, edits_of(choice)): choice for choice in choices}
                asked.update(texts)
                results, over = self.get_goal_results([AttackedText(text) for text in texts])
                for result in results:
                    words.learn(texts[result.attacked_text.text], result.score)
                best = max([best, *results], key=lambda result: result.score)
                if over or best.goal_status == GoalFunctionResultStatus.SUCCEEDED:
                    return best
                choices = words.next(clean.text, asked)
            return best

        def _changes(self, clean: Any) -> dict[int, list[list[WordEdit]]]:
            """Return the changes of each word, the largest first; content words first, long before short ones."""
            _, free = self.get_indices_to_order(clean)
            found = {}
            for index in sorted(
                free, key=lambda at: (clean.words[at].lower() in STOP_WORDS, -len(clean.words[at]), at)
            ):
                texts = self.get_transformations(clean, original_text=clean, indices_to_modify=[index])
                texts.sort(key=lambda new: (-size_of(clean.text, new.text).characters, new.text))
                found[index] = [word_edits(clean.text, text.text) for text in texts]
            return found

        def extra_repr_keys(self) -> list[str]:
            return ["seed"]

    return WordImportance
