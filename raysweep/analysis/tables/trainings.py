"""Builds the table of trainings: rows, dropped rows and why, steps, and the loss from first to last."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raysweep.analysis.tables.objective_numbers import ReportedNumber, numbers_table
from raysweep.analysis.tables.score_book import Order
from raysweep.analysis.tables.seed_rows import BY_SEED, COUNT, cells_over_seeds
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.analysis.tables.validation import ReportedValidation, validation_table
from raysweep.units import count, formatted

NOT_RECORDED = "not recorded by the version that trained it"
UNCHANGED = (
    "the loss is the one of the first step, so the model may have learned nothing: look at the recipe's lr and steps, "
    "and at which weights train"
)
LOSS = "{:.3g}"
"""Format of a loss."""


@dataclass(frozen=True)
class ReportedTraining:
    """What a training reported. Numbers that it did not report are None."""

    model: str
    training_set: str  # "pre-training" for a base model that the sweep trained
    recipe: str
    seed: int | None
    rows: int | None  # that it learned from
    dropped: int | None
    reasons: Mapping[str, int]  # why rows were dropped
    steps: int | None
    losses: tuple[tuple[int, float], ...]  # (step, mean loss since the point before)
    final_loss: float  # NaN: unknown
    validation_losses: tuple[tuple[int, float], ...] = ()  # (step, mean loss of the validation rows)
    numbers: tuple[ReportedNumber, ...] = ()  # of the objective
    validation: ReportedValidation | None = None  # measures that all recipes share
    kept: int | None = None  # the step whose weights are the model; None: the last
    weights: int | None = None  # of the model that was trained, without an adapter's
    trained_weights: int | None = None
    memory_bytes: int | None = None  # most that the first worker held: on its accelerator, or in RAM
    seconds: float = math.nan  # since it was resumed, if it was
    cpu_seconds: float = math.nan  # of the first worker, since then


def training_tables(trainings: Sequence[ReportedTraining], order: Order, *, over_seeds: bool = False) -> list[Table]:
    """`over_seeds`: whether the trainings of a model, training set and recipe with several seeds have one row."""
    if not trainings:
        return []
    groups, words = _grouped(trainings, over_seeds), order.training_words
    asked = _most_seeds(groups)
    measured = [
        (labels, validated)
        for labels, seeds in groups
        if (validated := {seed: t.validation for seed, t in seeds.items() if t.validation is not None})
    ]
    numbers = [(labels, {seed: t.numbers for seed, t in seeds.items()}) for labels, seeds in groups]
    tables = (
        training_table(trainings, order, over_seeds=over_seeds),
        validation_table(measured, words, asked),
        numbers_table(numbers, words, asked),
    )
    return [table for table in tables if table is not None]


Labels = tuple[str, str, str]
"""Model, training set and recipe."""
BySeed = Mapping[int | None, ReportedTraining]
"""Trainings by seed; None stands for a base model's."""


def _grouped(trainings: Sequence[ReportedTraining], over_seeds: bool) -> list[tuple[Labels, BySeed]]:
    if not over_seeds:
        seeds = {training.seed for training in trainings} - {None}
        return [
            (
                (
                    t.model,
                    t.training_set,
                    t.recipe + (f", seed {t.seed}" if len(seeds) > 1 and t.seed is not None else ""),
                ),
                {None: t},
            )
            for t in trainings
        ]
    groups: dict[Labels, dict[int | None, ReportedTraining]] = {}
    for t in trainings:
        groups.setdefault((t.model, t.training_set, t.recipe), {})[t.seed] = t
    return list(groups.items())


def _most_seeds(groups: Sequence[tuple[Labels, BySeed]]) -> int:
    return max(len(seeds) for _, seeds in groups)


def training_table(trainings: Sequence[ReportedTraining], order: Order, *, over_seeds: bool = False) -> Table:
    groups = _grouped(trainings, over_seeds)
    caption = (
        "Each training with the rows that it learned from, the rows that it dropped, and its loss: the mean over the "
        "first step, and over the last steps. A row that is left over at the end of an epoch, where a step takes more, "
        "isn't counted as dropped. In a curve beside it, the bottom is 0."
    )
    validated = any(training.validation_losses for training in trainings)
    if validated:
        caption += (
            " The loss of the validation rows is the objective's own, of the model: it doesn't compare recipes with "
            "unlike objectives."
        )
    names = ("rows", "dropped", "steps", "first loss", "last loss", *(["validation loss"] if validated else []))
    asked, formats = _most_seeds(groups), (COUNT, COUNT, COUNT, *([LOSS] * (len(names) - 3)))
    rows = [
        Row(labels, cells_over_seeds({seed: _row(t, validated) for seed, t in seeds.items()}, formats, asked))
        for labels, seeds in groups
    ]
    caption += f" {BY_SEED}" if asked > 1 else ""
    columns = tuple(map(Column, names))
    stub = ("model", "training set", "recipe")
    return Table("Trainings", caption, stub, columns, tuple(rows), row_words=order.training_words)


def _row(training: ReportedTraining, validated: bool) -> tuple[TableCell, ...]:
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in training.reasons.items())
    dropped = _count_cell(training.dropped)
    if training.dropped:
        why = f"dropped: {reasons}" if reasons else f"why {count(training.dropped, 'row')} were dropped: {NOT_RECORDED}"
        dropped = TableCell(dropped.text, value=dropped.value, note=why, state="value")
    first = training.losses[0][1] if training.losses and training.losses[0][0] == 1 else math.nan
    curve = tuple((float(step), loss) for step, loss in training.losses)
    is_flat = len(curve) > 1 and f"{first:.3g}" == f"{training.final_loss:.3g}"
    return (
        _count_cell(training.rows),
        dropped,
        _count_cell(training.steps),
        _loss_cell(first, curve=curve),
        replace(_loss_cell(training.final_loss), note=UNCHANGED) if is_flat else _loss_cell(training.final_loss),
        *([_validation_cell(training)] if validated else []),
    )


def _validation_cell(training: ReportedTraining) -> TableCell:
    losses = training.validation_losses
    if not losses:
        return TableCell("–", note="this training had no validation rows", state="undefined")
    curve = tuple((float(step), loss) for step, loss in losses)
    if training.kept is None or training.kept == losses[-1][0]:
        return _loss_cell(losses[-1][1], curve=curve)
    note = f"the model is that of step {training.kept:,}, the end of the epoch with the lowest loss"
    return replace(_loss_cell(dict(losses).get(training.kept, math.nan), curve=curve), note=note)


def _count_cell(number: int | None) -> TableCell:
    if number is None:
        return TableCell("–", note=NOT_RECORDED, state="undefined")
    return TableCell(f"{number:,}", value=float(number), state="value")


def _loss_cell(loss: float, curve: tuple[tuple[float, float], ...] = ()) -> TableCell:
    if math.isnan(loss):
        return TableCell("–", note=NOT_RECORDED, state="undefined", curve=curve)
    return TableCell(formatted(loss, LOSS), value=loss, state="value", curve=curve)
