"""What raters' answers say: the share of valid texts of each method, and how far the raters agree.

Source of kappa: J. Cohen, A Coefficient of Agreement for Nominal Scales, 1960.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import nan

from raysweep.audit.sheet import QUESTIONS, Item
from raysweep.metrics.intervals import share_interval

ALL = "all"
Answers = Mapping[int, Mapping[str, bool]]
"""One rater's, by item and question."""


@dataclass(frozen=True)
class Validity:
    """How many texts of a method most raters found to be the same task and readable; a 95 % interval of the share."""

    method: str
    judged: int
    valid: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """Cohen's kappa of two raters on a question; NaN, with the reason in `note`, where chance explains everything."""

    question: str
    raters: tuple[str, str]
    kappa: float
    note: str = ""


def validity(items: Sequence[Item], answers: Mapping[str, Answers]) -> list[Validity]:
    """Return the validity of each method, and of all together."""
    verdicts = [(item.method, _is_valid(item.id, answers)) for item in items]
    methods = sorted({item.method for item in items})
    found = []
    for name in [*methods, ALL] if len(methods) > 1 else methods:
        own = [valid for method, valid in verdicts if name in (method, ALL)]
        low, high = share_interval(sum(own), len(own))
        found.append(Validity(name, len(own), sum(own), sum(own) / len(own), low, high))
    return found


def agreements(items: Sequence[Item], answers: Mapping[str, Answers]) -> list[Agreement]:
    """Return the agreement of each pair of raters on each question."""
    found = []
    for question in QUESTIONS:
        for one, other in combinations(answers, 2):
            pairs = [(answers[one][item.id][question], answers[other][item.id][question]) for item in items]
            value = kappa(pairs)
            note = "" if value == value else "both gave one and the same answer to all"
            found.append(Agreement(question, (one, other), value, note))
    return found


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float:
    """Return Cohen's kappa of two raters' yes and no; NaN where they could only agree."""
    n = len(pairs)
    observed = sum(one == other for one, other in pairs) / n
    first, second = (sum(answers) / n for answers in zip(*pairs, strict=True))
    expected = first * second + (1 - first) * (1 - second)
    return (observed - expected) / (1 - expected) if expected < 1 else nan


def _is_valid(item: int, answers: Mapping[str, Answers]) -> bool:
    votes = [all(own[item][question] for question in QUESTIONS) for own in answers.values()]
    return 2 * sum(votes) > len(votes)
