"""Sends variants of one prompt to a model within the limits of an attack, and records the reactions.

A query is a distinct prompt; the clean prompt counts as one. Repeating a prompt is free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from raysweep.errors import UsageError
from raysweep.records import Segment
from raysweep.tools.attack.word_changes import Change, Size, apply_edits, size_of


class AttackOutcome(StrEnum):
    """How an attack on one problem ended, in textattack's terms."""

    SKIPPED = "skipped"  # the model fails on the clean prompt
    FAILED = "failed"  # the model passed with every prompt
    SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True)
class Target:
    """A prompt to attack."""

    task_id: str
    segments: tuple[Segment, ...]
    protected: frozenset[str]

    @property
    def prompt(self) -> str:
        return self.after(())

    def after(self, change: Change) -> str:
        return "".join(segment.text for segment in apply_edits(self.segments, change))

    @property
    def words(self) -> int:
        """Number of natural-language words."""
        return sum(len(segment.text.split()) for segment in self.segments if segment.natural)

    @property
    def characters(self) -> int:
        """Number of natural-language characters."""
        return sum(len(segment.text) for segment in self.segments if segment.natural)


@dataclass(frozen=True, slots=True)
class Reaction:
    """A model's reaction to a prompt."""

    passed: bool
    distance: float  # from the answer to the clean prompt, 0 (equal) to 1


Judge = Callable[[Sequence[str]], Sequence[Reaction]]
"""Sends prompts to the model and returns one reaction for each, in the same order."""


@dataclass(frozen=True, slots=True)
class AttackLimits:
    """How many queries an attack may use, and how much of a prompt it may change.

    At least one word and one character may always be changed.
    """

    budget: int  # queries for each problem and strategy
    max_changed: float  # share of the natural-language words
    max_characters: float | None = None  # share of the natural-language characters; None: no limit

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise UsageError(f"--budget {self.budget} allows no query; give at least 1")
        if not 0 < self.max_changed <= 1:
            raise UsageError(f"--max-changed {self.max_changed:g} is no share of words; give more than 0, at most 1")
        if self.max_characters is not None and not 0 < self.max_characters <= 1:
            option = f"--max-characters {self.max_characters:g}"
            raise UsageError(f"{option} is no share of characters; give more than 0, at most 1")

    def max_change(self, target: Target) -> Size:
        characters = target.characters if self.max_characters is None else int(self.max_characters * target.characters)
        return Size(max(1, int(self.max_changed * target.words)), max(1, characters))


@dataclass(frozen=True, slots=True)
class AttackResult:
    """The result of one strategy on one problem."""

    task_id: str
    strategy: str
    outcome: str  # an `AttackOutcome`
    queries: int  # number of queries, including the clean prompt
    found_after: int  # number of queries up to the first failure; 0: no failure
    prompt: str  # the prompt with the smallest change that makes the model fail; empty without a success
    words: int  # number of changed words in `prompt`
    word_share: float  # share of changed words among the natural-language words
    character_share: float  # share of changed characters among the natural-language characters


class Queries:
    """Sends variants of one prompt to a model, counts them, and stops at the budget. Begins with the clean prompt."""

    def __init__(self, target: Target, judge: Judge, limits: AttackLimits) -> None:
        self.target = target
        self.max_change = limits.max_change(target)
        self.found_after = 0  # number of queries up to the first failure; 0: no failure yet
        self._judge = judge
        self._budget = limits.budget
        self._reactions: dict[str, Reaction] = {}  # by prompt, in the order of the queries
        self._changes: dict[str, Change] = {}  # by prompt: how it was first made
        (self.clean,) = self.ask([()])

    @property
    def count(self) -> int:
        return len(self._reactions)

    @property
    def left(self) -> int:
        return self._budget - self.count

    def knows(self, change: Change) -> bool:
        """Return whether the reaction to this change is known, so that asking for it is free."""
        return self.target.after(change) in self._reactions

    def allows(self, change: Change) -> bool:
        size = size_of(change)
        return size.words <= self.max_change.words and size.characters <= self.max_change.characters

    def ask(self, changes: Sequence[Change]) -> list[Reaction]:
        """Return the reactions to the first changes, up to the first one that the budget doesn't allow."""
        texts, new = [self.target.after(change) for change in changes], dict[str, Change]()
        for index, (text, change) in enumerate(zip(texts, changes, strict=True)):
            if text not in self._reactions and text not in new:
                if len(new) == self.left:
                    texts = texts[:index]
                    break
                new[text] = change
        self._changes |= new
        for text, reaction in zip(new, self._judge(list(new)) if new else (), strict=True):
            self._reactions[text] = reaction
            if not (reaction.passed or self.found_after):
                self.found_after = self.count
        return [self._reactions[text] for text in texts]

    def smallest(self) -> Change | None:
        """Return the smallest change that makes the model fail, the first one of equals."""
        failing = [self._changes[text] for text, reaction in self._reactions.items() if not reaction.passed]
        return min(failing, key=size_of, default=None)

    def result(self, strategy: str) -> AttackResult:
        smallest = self.smallest()
        if not self.clean.passed or smallest is None:
            outcome = AttackOutcome.FAILED if self.clean.passed else AttackOutcome.SKIPPED
            return AttackResult(self.target.task_id, strategy, outcome, self.count, 0, "", 0, 0.0, 0.0)
        size = size_of(smallest)
        return AttackResult(
            self.target.task_id,
            strategy,
            AttackOutcome.SUCCEEDED,
            self.count,
            self.found_after,
            self.target.after(smallest),
            size.words,
            size.words / self.target.words,
            size.characters / self.target.characters,
        )
