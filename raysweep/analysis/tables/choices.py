"""Builds the tables of choices: which recipe of a group was chosen for a model, and the losses of all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from raysweep.analysis.tables.score_book import Order
from raysweep.analysis.tables.table import Column, Row, Table, TableCell

NOT_YET = TableCell("–", note="not chosen yet: a model of its group is still to be trained", state="undefined")


@dataclass(frozen=True)
class ReportedCandidate:
    """A model among which one was chosen. `losses`: (step, mean loss of the validation rows) after each epoch."""

    recipe: str
    loss: float  # by which it was compared
    steps: int  # of its training
    kept: int  # step whose weights are the model
    is_chosen: bool
    losses: tuple[tuple[int, float], ...] = ()
    seconds: float = math.nan  # of its training, since it was resumed, if it was
    cpu_seconds: float = math.nan  # of its first worker, since then


@dataclass(frozen=True)
class ReportedChoice:
    """A choice. `recipe`: the group's name. `candidates`: empty where it is still to be made."""

    model: str
    recipe: str
    training_set: str
    seed: int
    candidates: tuple[ReportedCandidate, ...]

    @property
    def chosen(self) -> ReportedCandidate | None:
        """The candidate that was chosen."""
        return next((candidate for candidate in self.candidates if candidate.is_chosen), None)


def choice_table(choices: Sequence[ReportedChoice], order: Order) -> Table:
    """Return the table with a row for each choice: the chosen recipe, its loss, and the next one's."""
    caption = (
        "The recipe of each group whose model has the lowest loss of the validation rows; that model alone was "
        "evaluated. Of equal losses the one with fewer optimizer steps is chosen."
    )
    names = ("chosen recipe", "its loss", "next loss", "candidates")
    rows = [Row(_labels(choice, choices), _cells(choice)) for choice in choices]
    stub = ("model", "training set", "recipe")
    return Table("Chosen recipes", caption, stub, tuple(map(Column, names)), tuple(rows), order.training_words)


def candidate_table(choices: Sequence[ReportedChoice], order: Order) -> Table:
    """Return the table with a row for each candidate."""
    caption = "All candidates, with the losses of the validation rows by which one of each group was chosen."
    rows = []
    for choice in choices:
        for candidate in sorted(choice.candidates, key=lambda one: (not math.isfinite(one.loss), one.loss)):
            model, trained, _ = _labels(choice, choices)
            curve = tuple((float(step), loss) for step, loss in candidate.losses)
            cells = (
                replace(_loss(candidate.loss), curve=curve),
                TableCell(f"{candidate.kept:,}", value=float(candidate.kept), state="value"),
                TableCell(f"{candidate.steps:,}", value=float(candidate.steps), state="value"),
                TableCell("chosen" if candidate.is_chosen else "", state="text" if candidate.is_chosen else "empty"),
            )
            rows.append(Row((model, trained, candidate.recipe), cells))
    names = ("validation loss", "at step", "steps", "choice")
    stub = ("model", "training set", "recipe")
    return Table("Candidates", caption, stub, tuple(map(Column, names)), tuple(rows), order.training_words)


def _labels(choice: ReportedChoice, choices: Sequence[ReportedChoice]) -> tuple[str, str, str]:
    seed = f", seed {choice.seed}" if len({one.seed for one in choices}) > 1 else ""
    return choice.model, choice.training_set + seed, choice.recipe


def _cells(choice: ReportedChoice) -> tuple[TableCell, ...]:
    chosen = choice.chosen
    if chosen is None:
        return (NOT_YET,) * 4
    others = sorted(one.loss for one in choice.candidates if one is not chosen and math.isfinite(one.loss))
    number = len(choice.candidates)
    return (
        TableCell(chosen.recipe, state="text"),
        _loss(chosen.loss),
        _loss(others[0]) if others else TableCell(),
        TableCell(f"{number:,}", value=float(number), state="value"),
    )


def _loss(loss: float) -> TableCell:
    if not math.isfinite(loss):
        return TableCell("–", note=f"its loss is {loss}", state="undefined")
    return TableCell(f"{loss:.4f}", value=loss, state="value")
