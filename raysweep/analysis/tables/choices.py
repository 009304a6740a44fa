"""Builds the tables of choices: which recipe of a group was chosen for a model, and the losses of all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from raysweep.analysis.tables.score_book import Order
from raysweep.analysis.tables.seed_rows import BY_SEED, COUNT, cells_over_seeds
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.units import count, formatted

LOSS = "{:.4f}"
"""Format of a loss."""
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
        return next((candidate for candidate in self.candidates if candidate.is_chosen), None)


def choice_table(choices: Sequence[ReportedChoice], order: Order, *, over_seeds: bool = False) -> Table:
    """`over_seeds`: whether the choices of all seeds have one row."""
    caption = (
        "The recipe of each group whose model has the lowest loss of the validation rows; that model alone was "
        "evaluated. Of equal losses the one with fewer optimizer steps is chosen."
    )
    names = ("chosen recipe", "its loss", "next loss", "candidates")
    groups = _grouped(choices, over_seeds)
    asked = _most_seeds(groups)
    rows = []
    for labels, of_seeds in groups.items():
        _, *numbers = cells_over_seeds(
            {seed: _cells(choice) for seed, choice in of_seeds.items()}, ("", LOSS, LOSS, COUNT), asked
        )
        rows.append(Row(labels, (_chosen_cell([choice.chosen for choice in of_seeds.values()]), *numbers)))
    stub = ("model", "training set", "recipe")
    return Table("Chosen recipes", caption, stub, tuple(map(Column, names)), tuple(rows), order.training_words)


def candidate_table(choices: Sequence[ReportedChoice], order: Order, *, over_seeds: bool = False) -> Table:
    groups = _grouped(choices, over_seeds)
    asked = _most_seeds(groups)
    caption = "All candidates, with the losses of the validation rows by which one of each group was chosen."
    caption += f" {BY_SEED}" if asked > 1 else ""
    rows = []
    for (model, trained, _), of_seeds in groups.items():
        candidates: dict[str, dict[int | None, ReportedCandidate]] = {}
        for seed, choice in of_seeds.items():
            for candidate in choice.candidates:
                candidates.setdefault(candidate.recipe, {})[seed] = candidate
        for recipe, seeds in sorted(candidates.items(), key=lambda item: _place(item[1].values())):
            cells = {seed: _candidate_cells(candidate) for seed, candidate in seeds.items()}
            numbers = cells_over_seeds(cells, (LOSS, COUNT, COUNT), asked)
            times = sum(candidate.is_chosen for candidate in seeds.values())
            chosen = f"chosen with {times} of {count(asked, 'seed')}" if asked > 1 else "chosen"
            choice_cell = TableCell(chosen, state="text") if times else TableCell()
            rows.append(Row((model, trained, recipe), (*numbers, choice_cell)))
    names = ("validation loss", "at step", "steps", "choice")
    stub = ("model", "training set", "recipe")
    return Table("Candidates", caption, stub, tuple(map(Column, names)), tuple(rows), order.training_words)


Grouped = Mapping[tuple[str, str, str], Mapping[int | None, ReportedChoice]]
"""The choices of each row by its labels (model, training set, recipe), then by seed; None: the only one."""


def _grouped(choices: Sequence[ReportedChoice], over_seeds: bool) -> Grouped:
    several = len({one.seed for one in choices}) > 1
    groups: dict[tuple[str, str, str], dict[int | None, ReportedChoice]] = {}
    for choice in choices:
        apart = f", seed {choice.seed}" if several and not over_seeds else ""
        labels = (choice.model, choice.training_set + apart, choice.recipe)
        groups.setdefault(labels, {})[choice.seed if over_seeds else None] = choice
    return groups


def _most_seeds(groups: Grouped) -> int:
    return max(map(len, groups.values()), default=1)


def _place(candidates: Iterable[ReportedCandidate]) -> tuple[bool, float]:
    losses = [one.loss for one in candidates if math.isfinite(one.loss)]
    return not losses, fmean(losses) if losses else 0.0


def _candidate_cells(candidate: ReportedCandidate) -> tuple[TableCell, ...]:
    curve = tuple((float(step), loss) for step, loss in candidate.losses)
    return (
        replace(_loss(candidate.loss), curve=curve),
        TableCell(f"{candidate.kept:,}", value=float(candidate.kept), state="value"),
        TableCell(f"{candidate.steps:,}", value=float(candidate.steps), state="value"),
    )


def _chosen_cell(seeds: Sequence[ReportedCandidate | None]) -> TableCell:
    times = Counter(candidate.recipe for candidate in seeds if candidate is not None)
    if not times:
        return NOT_YET
    if len(times) == 1 and times.total() == len(seeds):
        return TableCell(next(iter(times)), state="text")
    each = ", ".join(f"{recipe} ({number} of {len(seeds)})" for recipe, number in times.most_common())
    return TableCell(each, note="of how many seeds it is the choice", state="text")


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
    return TableCell(formatted(loss, LOSS), value=loss, state="value")
