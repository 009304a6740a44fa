"""What an attack may ask a model, and what came of it: targets, limits, queries and how they are counted.

A query is a prompt that the model has not been asked before, the clean one included; asking again is free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from raysweep.errors import UsageError
from raysweep.perturbations.word_changes import Size, size_of
from raysweep.records import Segment


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

    @property
    def characters(self) -> int:
        """Characters of natural language."""
        return sum(len(segment.text) for segment in self.segments if segment.natural)


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a model made of a prompt. `moved`: how far its answer is from the one to the clean prompt, 0 to 1."""

    passed: bool
    moved: float


Judge = Callable[[Sequence[str]], Sequence[Reaction]]
"""Asks the model; one reaction a prompt, in their order."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What an attack may do. `budget`: queries. `max_changed`: share of the words of natural language, at least one.

    `max_characters`: share of its characters, at least one; None: any number in the words that change.
    """

    budget: int
    max_changed: float
    max_characters: float | None = None

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise UsageError(f"--budget {self.budget} allows no query; give 1 or more")
        if not 0 < self.max_changed <= 1:
            raise UsageError(f"--max-changed {self.max_changed:g} is no share of words; give more than 0, at most 1")
        if self.max_characters is not None and not 0 < self.max_characters <= 1:
            given = f"--max-characters {self.max_characters:g}"
            raise UsageError(f"{given} is no share of characters; give more than 0, at most 1")

    def most(self, target: Target) -> Size:
        """Return how many words, and how many characters, of a prompt may change."""
        characters = target.characters if self.max_characters is None else int(self.max_characters * target.characters)
        return Size(max(1, int(self.max_changed * target.words)), max(1, characters))


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
        self.most = reach.most(target)
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

    def allows(self, text: str) -> bool:
        """Tell whether so much may change."""
        size = size_of(self.target.prompt, text)
        return size.words <= self.most.words and size.characters <= self.most.characters

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
        return Finding(
            self.target.task_id,
            strategy,
            AttackOutcome.SUCCEEDED,
            self.count,
            self.found_after,
            text,
            size.words,
            size.words / self.target.words,
            size.characters / self.target.characters,
        )
