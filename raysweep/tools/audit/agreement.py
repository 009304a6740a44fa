"""Evaluates raters' answers: the share of valid texts of each method, and the raters' agreement.

Source of kappa: J. Cohen, A Coefficient of Agreement for Nominal Scales, 1960.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isnan, nan

from raysweep.rows.rated_sheets import PAIRS, Answers, SheetItem, is_valid, questions_of
from raysweep.stats.intervals import share_interval

ALL = "all"


@dataclass(frozen=True)
class Validity:
    """The number and share of a method's texts that a majority of raters judged the same task and readable.

    Of pairs there is one for each `question`, with the number of yes to it. `low`, `high`: a 95 % interval of the
    share.
    """

    method: str
    judged: int
    valid: int
    share: float
    low: float
    high: float
    question: str = ""


@dataclass(frozen=True)
class Agreement:
    """Cohen's kappa of two raters on a question; NaN, with the reason in `note`, if they could only agree."""

    question: str
    raters: tuple[str, str]
    kappa: float
    note: str = ""


def validity(items: Sequence[SheetItem], answers: Mapping[str, Answers]) -> list[Validity]:
    """Return the validity of each method, then of all methods together; of pairs, question by question."""
    if items[0].kind != PAIRS:
        return _shares(items, answers, "")
    results = []
    for question in questions_of(items):
        asked = {
            rater: {item: {question: said[question]} for item, said in by_item.items()}
            for rater, by_item in answers.items()
        }
        results += _shares(items, asked, question)
    return results


def _shares(items: Sequence[SheetItem], answers: Mapping[str, Answers], question: str) -> list[Validity]:
    verdicts = [(item.method, is_valid(item.id, answers)) for item in items]
    methods = sorted({item.method for item in items})
    results = []
    for name in [*methods, ALL] if len(methods) > 1 else methods:
        votes = [valid for method, valid in verdicts if name in (method, ALL)]
        low, high = share_interval(sum(votes), len(votes))
        results.append(Validity(name, len(votes), sum(votes), sum(votes) / len(votes), low, high, question))
    return results


def agreements(items: Sequence[SheetItem], answers: Mapping[str, Answers]) -> list[Agreement]:
    results = []
    for question in questions_of(items):
        for first, second in combinations(answers, 2):
            pairs = [(answers[first][item.id][question], answers[second][item.id][question]) for item in items]
            value = kappa(pairs)
            note = "both gave the same answer to every item" if isnan(value) else ""
            results.append(Agreement(question, (first, second), value, note))
    return results


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float:
    """Return Cohen's kappa of two raters' yes-no answers; NaN if they could only agree."""
    n = len(pairs)
    observed = sum(first == second for first, second in pairs) / n
    first_yes, second_yes = (sum(answers) / n for answers in zip(*pairs, strict=True))
    expected = first_yes * second_yes + (1 - first_yes) * (1 - second_yes)
    return (observed - expected) / (1 - expected) if expected < 1 else nan
