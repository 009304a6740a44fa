"""The headline of a sweep, one sentence per model: what it loses under perturbation, and after fine-tuning on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.analysis.layout import BASE, CLEAN, Failure, Line, Order, Place, ScoreBook
from raysweep.records import Score


@dataclass(frozen=True)
class Finding:
    """One model's headline. RDs are shares of clean pass@1; NaN where there is none."""

    label: str  # the model, and the recipe or seed where there are several
    problem_set: str
    perturbation: str
    tuned_on: str  # the training set that answers the perturbation; "" where there is none
    base_rd: float
    tuned_rd: float
    control_rd: float  # of the model fine-tuned on clean prompts
    sentence: str

    @property
    def complete(self) -> bool:
        """Both ends of the comparison, base and tuned, are numbers."""
        return not (math.isnan(self.base_rd) or math.isnan(self.tuned_rd))


def findings(scores: Sequence[Score], order: Order, failures: Sequence[Failure] = ()) -> list[Finding]:
    """Return the finding of each model on each problem set, on `order.headline`; empty where nothing is perturbed."""
    book = ScoreBook.of(scores, order, failures)
    if not book.headline:
        return []
    return [_finding(book, line, problems) for problems in book.problem_sets for line in book.lines]


def percent(share: float) -> str:
    """Return a share as whole percent: 0.474 gives ``47 %``."""
    return f"{round(100 * share)} %".replace("-", "−")


def _finding(book: ScoreBook, line: Line, problems: str) -> Finding:
    perturbation = book.headline
    tuned = [name for name in book.training_sets if name not in (BASE, CLEAN)]
    tuned_on = perturbation if perturbation in tuned else (tuned[-1] if tuned else "")
    base, own, control = (_rd(book, Place(line, name, problems, perturbation)) for name in (BASE, tuned_on, CLEAN))
    where = f" on {problems}" if len(book.problem_sets) > 1 else ""
    sentence = f"{line.label} {_loses(base)} of its pass@1{where} under {perturbation}"
    if math.isnan(base):
        sentence = f"{line.label} has no relative drop{where} under {perturbation}"
    if not math.isnan(own):
        sentence += f"; fine-tuned on {tuned_on} it {_loses(own)}"
    if not math.isnan(control):
        sentence += f"; fine-tuned on clean prompts it {_loses(control)}"
    return Finding(line.label, problems, perturbation, tuned_on, base, own, control, sentence + ".")


def _rd(book: ScoreBook, place: Place) -> float:
    score = book.score(place, "RD")
    return math.nan if score is None else score.value


def _loses(rd: float) -> str:
    return f"{'gains' if round(100 * rd) < 0 else 'loses'} {percent(abs(rd))}"
