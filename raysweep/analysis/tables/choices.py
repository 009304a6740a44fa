"""Builds the tables of choices: which recipe of a group was chosen for a model, and the losses of all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.records import BY_SEED, Field, Labels, field_cells, most_seeds, rows_of
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.units import count, formatted

LOSS = "{:.4f}"
"""Format of a loss."""
NOT_YET = TableCell.dash("not chosen yet: a model of its group is still to be trained")
STUB = ("model", "training set", "recipe")


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
        return next((candidate for candidate in self.candidates if candidate.is_chosen), None)


def choice_table(choices: Sequence[ReportedChoice], order: Order, *, over_seeds: bool = False) -> Table:
    """`over_seeds`: whether the choices of all seeds have one row."""
    fields: list[Field[ReportedChoice]] = [
        Field("its loss", lambda choice: NOT_YET if choice.chosen is None else _loss(choice.chosen.loss), LOSS),
        Field("next loss", _next_loss, LOSS),
        Field("candidates", lambda choice: TableCell.counted(len(choice.candidates)) if choice.chosen else NOT_YET),
    ]
    rows = rows_of(choices, over_seeds, _labels)
    caption = (
        "The recipe of each group whose model has the lowest loss of the validation rows; that model alone was "
        "evaluated. Of equal losses the one with fewer optimizer steps is chosen."
    )
    shown = [
        Row(labels, (_chosen([one.chosen for one in seeds.values()]), *field_cells(seeds, fields, most_seeds(rows))))
        for labels, seeds in rows
    ]
    columns = (Column("chosen recipe"), *(Column(field.heading) for field in fields))
    return Table("Chosen recipes", caption, STUB, columns, tuple(shown), order.training_words)


def candidate_table(choices: Sequence[ReportedChoice], order: Order, *, over_seeds: bool = False) -> Table:
    fields: list[Field[ReportedCandidate]] = [
        Field("validation loss", lambda one: _loss(one.loss, tuple((float(at), of) for at, of in one.losses)), LOSS),
        Field("at step", lambda one: TableCell.counted(one.kept)),
        Field("steps", lambda one: TableCell.counted(one.steps)),
    ]
    groups = rows_of(choices, over_seeds, _labels)
    asked = most_seeds(groups)
    rows = []
    for (model, trained, _), of_seeds in groups:
        candidates: dict[str, dict[int | None, ReportedCandidate]] = {}
        for seed, choice in of_seeds.items():
            for candidate in choice.candidates:
                candidates.setdefault(candidate.recipe, {})[seed] = candidate
        for recipe, seeds in sorted(candidates.items(), key=lambda item: _place(item[1].values())):
            times = sum(candidate.is_chosen for candidate in seeds.values())
            chosen = f"chosen with {times} of {count(asked, 'seed')}" if asked > 1 else "chosen"
            choice_cell = TableCell.said(chosen) if times else TableCell()
            rows.append(Row((model, trained, recipe), (*field_cells(seeds, fields, asked), choice_cell)))
    caption = "All candidates, with the losses of the validation rows by which one of each group was chosen."
    caption += f" {BY_SEED}" if asked > 1 else ""
    columns = (*(Column(field.heading) for field in fields), Column("choice"))
    return Table("Candidates", caption, STUB, columns, tuple(rows), order.training_words)


def _labels(choice: ReportedChoice, seed: str) -> Labels:
    return choice.model, choice.training_set + seed, choice.recipe


def _place(candidates: Iterable[ReportedCandidate]) -> tuple[bool, float]:
    losses = [one.loss for one in candidates if math.isfinite(one.loss)]
    return not losses, fmean(losses) if losses else 0.0


def _chosen(seeds: Sequence[ReportedCandidate | None]) -> TableCell:
    times = Counter(candidate.recipe for candidate in seeds if candidate is not None)
    if not times:
        return NOT_YET
    if len(times) == 1 and times.total() == len(seeds):
        return TableCell.said(next(iter(times)))
    each = ", ".join(f"{recipe} ({number} of {len(seeds)})" for recipe, number in times.most_common())
    return TableCell.said(each, "of how many seeds it is the choice")


def _next_loss(choice: ReportedChoice) -> TableCell:
    if choice.chosen is None:
        return NOT_YET
    others = [one.loss for one in choice.candidates if not one.is_chosen and math.isfinite(one.loss)]
    return _loss(min(others)) if others else TableCell()


def _loss(loss: float, curve: tuple[tuple[float, float], ...] = ()) -> TableCell:
    if not math.isfinite(loss):
        return TableCell.dash(f"its loss is {loss}", curve=curve)
    return TableCell.number(loss, formatted(loss, LOSS), curve=curve)
