"""The headline of a sweep, one sentence per model: what it loses under perturbation, and after fine-tuning on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    detail: str  # pass@1 beside every RD of the sentence

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
    places = [Place(line, name, problems, perturbation) for name in (BASE, tuned_on, CLEAN)]
    base, own, control = (_value(book, place, "RD") for place in places)
    where = f" on {problems}" if len(book.problem_sets) > 1 else ""
    if math.isnan(base):
        score = book.score(places[0], "RD")
        reason = score.note if score is not None and score.note else "no result"
        sentence = f"{line.label} has no relative drop{where} under {perturbation} ({reason})"
    else:
        sentence = f"{line.label} {_loses(base)} of its pass@1{where} under {perturbation}"
    if not math.isnan(own):
        sentence += f"; fine-tuned on {tuned_on} it {_loses(own)}"
    if not math.isnan(control):
        sentence += f"; fine-tuned on clean prompts it {_loses(control)}"
    names = ("not fine-tuned", f"fine-tuned on {tuned_on}", "fine-tuned on clean prompts")
    passes = [text for name, place in zip(names, places, strict=True) if (text := _passes(book, name, place))]
    detail = f"pass@1 on clean and on perturbed prompts: {'; '.join(passes)}." if passes else ""
    return Finding(line.label, problems, perturbation, tuned_on, base, own, control, f"{sentence}.", detail)


def _passes(book: ScoreBook, name: str, place: Place) -> str:
    """What RD leaves out (study.md section 7): both pass@1 and their difference; "" where one is not known."""
    clean = _value(book, replace(place, perturbation=CLEAN), "pass@1")
    perturbed = _value(book, place, "pass@1")
    if math.isnan(clean) or math.isnan(perturbed):
        return ""
    points = f"{round(100 * (perturbed - clean)):+d}".replace("-", "−")
    return f"{name} {percent(clean)} and {percent(perturbed)} ({points} points)"


def _value(book: ScoreBook, place: Place, metric: str) -> float:
    score = book.score(place, metric)
    return math.nan if score is None else score.value


def _loses(rd: float) -> str:
    return f"{'gains' if round(100 * rd) < 0 else 'loses'} {percent(abs(rd))}"
