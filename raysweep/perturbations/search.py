"""Searches for a small change of a prompt under which a model fails, with a limited number of queries.

The threat model is a black box: prompts in, verdicts out. Both strategies draw from the same perturbations, change at
most a share of the natural-language words (`Reach`), and leave code alone:

- ``random``: perturbations as they come, of which as many changed words are kept as the limit allows. The baseline.
- ``greedy`` and ``beam``: textattack's attacks on words (`raysweep.textattack.attack`), led by how the model reacts;
  what they leave of the budget is spent at random.

A query is a prompt that the model has not been asked before, the clean one included; the rest is free.

Not covered: how a model is asked (`raysweep.attacking`), and limits on meaning that need another model.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from raysweep.errors import UnknownName, UsageError
from raysweep.perturbations.base import Perturbation
from raysweep.perturbations.word_changes import Size, keep_some, size_of, taken_back
from raysweep.records import Segment
from raysweep.seeding import python_rng

RANDOM = "random"
SEARCHES = (RANDOM, "greedy", "beam")
_TRIES = 40
"""Random draws in a row that bring no new text before there are said to be no more."""
_BATCH = 16
"""Random texts that the model is asked at a time."""


class AttackOutcome(StrEnum):
    """How an attack on one problem ended, in textattack's words."""

    SKIPPED = "skipped"  # the model fails on the clean prompt already
    FAILED = "failed"  # the model withstood every query
    SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True)
class Target:
    """A prompt to attack."""

    task_id: str
    segments: tuple[Segment, ...]
    protected: frozenset[str]

    @property
    def prompt(self) -> str:
        """The clean prompt."""
        return "".join(segment.text for segment in self.segments)

    @property
    def words(self) -> int:
        """Words of natural language."""
        return sum(len(segment.text.split()) for segment in self.segments if segment.natural)


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a model made of a prompt. `moved`: how far its answer is from the one to the clean prompt, 0 to 1."""

    passed: bool
    moved: float


Judge = Callable[[Sequence[str]], Sequence[Reaction]]
"""Asks the model; one reaction a prompt, in their order."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What an attack may do. `budget`: queries. `max_changed`: share of the words of natural language, at least one."""

    budget: int
    max_changed: float

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise UsageError(f"--budget {self.budget} allows no query; give 1 or more")
        if not 0 < self.max_changed <= 1:
            raise UsageError(f"--max-changed {self.max_changed:g} is no share of words; give more than 0, at most 1")

    def words(self, target: Target) -> int:
        """Return how many words of a prompt may change."""
        return max(1, int(self.max_changed * target.words))


@dataclass(frozen=True, slots=True)
class Finding:
    """How one strategy fared on one problem. `prompt`: the smallest change found under which the model fails."""

    task_id: str
    strategy: str
    outcome: str  # an `AttackOutcome`
    queries: int  # all, the clean prompt included
    found_after: int  # queries up to the first failure; 0: none
    prompt: str  # empty without a success
    words: int  # changed ones of `prompt`
    word_share: float  # of the words of natural language
    character_share: float  # of the characters of natural language


class Queries:
    """Asks a model about variants of one prompt and counts; `ask` answers for as many as the budget allows."""

    def __init__(self, target: Target, judge: Judge, reach: Reach) -> None:
        self.target = target
        self.allowed = reach.words(target)
        self.found_after = 0
        self._judge = judge
        self._budget = reach.budget
        self._known: dict[str, Reaction] = {}
        (self.clean,) = self.ask([target.prompt])

    @property
    def count(self) -> int:
        """Prompts asked so far."""
        return len(self._known)

    @property
    def left(self) -> int:
        """Prompts that may still be asked."""
        return self._budget - self.count

    def knows(self, text: str) -> bool:
        """Tell whether asking this prompt is free."""
        return text in self._known

    def ask(self, texts: Sequence[str]) -> list[Reaction]:
        """Return the reactions to the first texts, up to the one that the budget doesn't allow."""
        new: dict[str, None] = {}
        for place, text in enumerate(texts):
            if text not in self._known and text not in new:
                if len(new) == self.left:
                    texts = texts[:place]
                    break
                new[text] = None
        for text, reaction in zip(new, self._judge(list(new)) if new else (), strict=True):
            self._known[text] = reaction
            if not (reaction.passed or self.found_after):
                self.found_after = self.count
        return [self._known[text] for text in texts]

    def smallest(self) -> tuple[str, Size] | None:
        """Return the smallest change under which the model fails; of equal ones the first."""
        failing = [text for text, reaction in self._known.items() if not reaction.passed]
        sized = [(text, size_of(self.target.prompt, text)) for text in failing]
        return min(sized, key=lambda pair: pair[1], default=None)

    def finding(self, strategy: str) -> Finding:
        """Return how it went."""
        found = self.smallest()
        if not self.clean.passed or found is None:
            outcome = AttackOutcome.FAILED if self.clean.passed else AttackOutcome.SKIPPED
            return Finding(self.target.task_id, strategy, outcome, self.count, 0, "", 0, 0.0, 0.0)
        text, size = found
        letters = sum(len(segment.text) for segment in self.target.segments if segment.natural)
        return Finding(
            self.target.task_id,
            strategy,
            AttackOutcome.SUCCEEDED,
            self.count,
            self.found_after,
            text,
            size.words,
            size.words / self.target.words,
            size.characters / letters,
        )


def attack(
    target: Target, methods: Sequence[Perturbation], judge: Judge, reach: Reach, *, strategy: str, seed: int
) -> Finding:
    """Search for a change of one prompt under which the model fails, then for a smaller one.

    Args:
        target: the prompt.
        methods: what may change it; aggregates stand for their members.
        judge: asks the model.
        reach: queries, and words that may change.
        strategy: one of `SEARCHES`.
        seed: of all draws; with the task's id it gives the same queries in every process.

    Raises:
        UnknownName: no such strategy.
        UsageError: textattack is not installed, where it is needed.
    """
    if strategy not in SEARCHES:
        raise UnknownName("search", strategy, SEARCHES)
    queries = Queries(target, judge, reach)
    if queries.clean.passed and target.words and queries.left:
        if strategy != RANDOM:
            from raysweep.textattack.attack import search_words

            search_words(queries, methods, strategy, seed)
        _search_at_random(queries, methods, python_rng(seed, "attack", target.task_id))
        _shrink(queries)
    return queries.finding(strategy)


def _search_at_random(queries: Queries, methods: Sequence[Perturbation], rng: random.Random) -> None:
    while queries.left and not queries.found_after:
        batch: list[str] = []
        tries = 0
        while len(batch) < min(_BATCH, queries.left) and tries < _TRIES:
            text = _random_text(queries, methods, rng)
            tries += 1
            if not queries.knows(text) and text not in batch:
                batch.append(text)
                tries = 0
        if not batch:
            return
        queries.ask(batch)


def _random_text(queries: Queries, methods: Sequence[Perturbation], rng: random.Random) -> str:
    target = queries.target
    method = rng.choice(methods).pick(rng)
    text = "".join(segment.text for segment in method.perturb(target.segments, rng, target.protected))
    return keep_some(target.prompt, text, queries.allowed, rng)


def _shrink(queries: Queries) -> None:
    """Take back one changed word after the other, as long as the model still fails and the budget lasts."""
    found = queries.smallest()
    while found is not None and found[1].words > 1 and queries.left:
        text, size = found
        smaller = [keep for keep in taken_back(queries.target.prompt, text) if not queries.knows(keep)]
        if not smaller:
            return
        queries.ask(smaller)
        found = queries.smallest()
        if found is not None and found[1] >= size:
            return
