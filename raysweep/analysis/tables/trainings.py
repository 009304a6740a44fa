"""Builds the tables of trainings: rows, steps and losses; measures of validation rows; numbers of objectives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.records import (
    BY_SEED,
    PERCENT,
    BySeed,
    Field,
    Labels,
    Rows,
    field_cells,
    most_seeds,
    record_table,
    rows_of,
)
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.units import count, formatted

Points = tuple[tuple[int, float], ...]
NOT_RECORDED = "not recorded by the version that trained it"
UNCHANGED = (
    "the loss is the one of the first step, so the model may have learned nothing: look at the recipe's lr and steps, "
    "and at which weights train"
)
LOSS, MEASURE, MEAN = "{:.3g}", "{:.4g}", "{:.3g}"
"""Formats of a loss, of a measure of validation rows, and of a mean that an objective reports."""
STUB = ("model", "training set", "recipe")
TRAINED = (
    "Each training with the rows that it learned from, the rows that it dropped, and its loss: the mean over the "
    "first step, and over the last steps. A row that is left over at the end of an epoch, where a step takes more, "
    "isn't counted as dropped. In a curve beside it, the bottom is 0."
)
OWN_LOSS = (
    " The loss of the validation rows is the objective's own, of the model: it doesn't compare recipes with "
    "unlike objectives."
)
VALIDATED = (
    "The same measures of the same validation rows for every recipe, before training and of the trained model. "
    "Cross-entropy: "
    "the mean over response tokens, in nats. Reference preferred: the share of rows whose response is more probable "
    "than the rejected one. Margin: the mean over these rows of log p(response) minus log p(rejected response), in "
    "nats. Left out: rows, or rejected responses alone, that can't be measured. The bottom of a curve is 0, or the "
    "smallest value where that is negative."
)
COUNTED = (
    "What an objective counts beside its loss: at the first step, over the last steps, and over the whole training. A "
    "curve shows the number step by step; its bottom is 0, or the smallest number where that is negative."
)


@dataclass(frozen=True)
class ReportedNumber:
    """A number that an objective reported.

    Attributes:
        text: what it is, with its unit.
        share_of: the things that it is a share of; empty for a mean.
        points: (step, mean since the point before).
        total: its sum over the training.
        count: what the sum is divided by.
    """

    text: str
    share_of: str
    points: Points
    total: float
    count: float


@dataclass(frozen=True)
class ReportedValidation:
    """What a training measured on its validation rows; curves are (step, value), step 0 is the model before training.

    Attributes:
        rows: number of rows that were measured.
        dropped: number of rows, or of rejected responses alone, that were left out, by reason.
        cross_entropy: nats a response token.
        preferred: share of pairs whose response is more probable than the rejected one; empty without pairs.
        margin: mean of log p(response) - log p(rejected response), nats; empty without pairs.
        pairs: names the pairs; trainings with the same name have the same pairs in the same order.
        margins_before: of each pair before training, nats.
        margins: of each pair after training, nats.
        kept: the step whose weights are the model; None: the last.
    """

    rows: int
    cross_entropy: Points = ()
    preferred: Points = ()
    margin: Points = ()
    pairs: str = ""
    margins_before: tuple[float, ...] = ()
    margins: tuple[float, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    kept: int | None = None


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
    losses: Points  # (step, mean loss since the point before)
    final_loss: float  # NaN: unknown
    validation_losses: Points = ()  # (step, mean loss of the validation rows)
    numbers: tuple[ReportedNumber, ...] = ()  # of the objective
    validation: ReportedValidation | None = None  # measures that all recipes share
    kept: int | None = None  # the step whose weights are the model; None: the last
    weights: int | None = None  # of the model that was trained, without an adapter's
    trained_weights: int | None = None
    memory_bytes: int | None = None  # most that the first worker held: on its accelerator, or in RAM
    seconds: float = math.nan  # since it was resumed, if it was
    cpu_seconds: float = math.nan  # of the first worker, since then
    truncated: int = 0  # rows whose responses were cut


def training_tables(trainings: Sequence[ReportedTraining], order: Order, *, over_seeds: bool = False) -> list[Table]:
    """`over_seeds`: whether the trainings of a model, training set and recipe with several seeds have one row."""
    rows = rows_of(trainings, over_seeds, lambda t, seed: (t.model, t.training_set, t.recipe + seed))
    asked = most_seeds(rows)
    validated = [(place, {s: t.validation for s, t in seeds.items() if t.validation}) for place, seeds in rows]
    validated = [(place, seeds) for place, seeds in validated if seeds]
    tables = [_losses(rows, order, asked)] if rows else []
    tables += [_measures(validated, order, asked)] if validated else []
    numbers: list[tuple[Labels, BySeed[ReportedNumber]]] = []
    for place, seeds in rows:
        texts = dict.fromkeys(number.text for training in seeds.values() for number in training.numbers)
        for text in texts:
            found = {seed: one for seed, training in seeds.items() for one in training.numbers if one.text == text}
            numbers.append(((*place, text), found))
    return tables + ([_numbers(numbers, order, asked)] if numbers else [])


def _losses(rows: Rows[ReportedTraining], order: Order, asked: int) -> Table:
    fields: list[Field[ReportedTraining]] = [
        Field("rows", lambda training: _count(training.rows)),
        Field("dropped", _dropped),
        Field("steps", lambda training: _count(training.steps)),
        Field("first loss", lambda training: _loss(_first(training.losses), _curve(training.losses)), LOSS),
        Field("last loss", _last_loss, LOSS),
    ]
    caption = TRAINED
    if any(training.truncated for _, seeds in rows for training in seeds.values()):
        fields.insert(2, Field("truncated", lambda training: _count(training.truncated)))
    if any(training.validation_losses for _, seeds in rows for training in seeds.values()):
        fields.append(Field("validation loss", _validation_loss, LOSS))
        caption += OWN_LOSS
    caption += f" {BY_SEED}" if asked > 1 else ""
    return record_table("Trainings", caption, STUB, rows, fields, asked, row_words=order.training_words)


def _dropped(training: ReportedTraining) -> TableCell:
    if not training.dropped:
        return _count(training.dropped)
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in training.reasons.items())
    unknown = f"why {count(training.dropped, 'row')} were dropped: {NOT_RECORDED}"
    return TableCell.counted(training.dropped, f"dropped: {reasons}" if reasons else unknown)


def _last_loss(training: ReportedTraining) -> TableCell:
    is_flat = len(training.losses) > 1 and f"{_first(training.losses):.3g}" == f"{training.final_loss:.3g}"
    return replace(_loss(training.final_loss), note=UNCHANGED) if is_flat else _loss(training.final_loss)


def _validation_loss(training: ReportedTraining) -> TableCell:
    losses = training.validation_losses
    if not losses:
        return TableCell.dash("this training had no validation rows")
    if training.kept is None or training.kept == losses[-1][0]:
        return _loss(losses[-1][1], _curve(losses))
    note = f"the model is that of step {training.kept:,}, the end of the epoch with the lowest loss"
    return replace(_loss(dict(losses).get(training.kept, math.nan), _curve(losses)), note=note)


def _first(losses: Points) -> float:
    return losses[0][1] if losses and losses[0][0] == 1 else math.nan


def _count(number: int | None) -> TableCell:
    return TableCell.dash(NOT_RECORDED) if number is None else TableCell.counted(number)


def _loss(loss: float, curve: tuple[tuple[float, float], ...] = ()) -> TableCell:
    if math.isnan(loss):
        return TableCell.dash(NOT_RECORDED, curve=curve)
    return TableCell.number(loss, formatted(loss, LOSS), curve=curve)


def _curve(points: Points) -> tuple[tuple[float, float], ...]:
    return tuple((float(step), value) for step, value in points)


def _measures(rows: Rows[ReportedValidation], order: Order, asked: int) -> Table:
    measured = [one for _, seeds in rows for one in seeds.values()]
    fields: list[Field[ReportedValidation]] = [Field("rows", lambda one: TableCell.counted(one.rows))]
    if any(one.dropped for one in measured):
        fields.append(Field("left out", _left_out))
    fields += _before_and_after("cross-entropy (nats)", lambda one: one.cross_entropy)
    if any(one.preferred for one in measured):
        fields.append(Field("pairs", lambda one: TableCell.counted(len(one.margins))))
        fields += _before_and_after("reference preferred (%)", lambda one: one.preferred, 100)
        fields += _before_and_after("margin (nats)", lambda one: one.margin)
    caption = f"{VALIDATED} {BY_SEED}" if asked > 1 else VALIDATED
    return record_table("Validation rows", caption, STUB, rows, fields, asked, row_words=order.training_words)


def _left_out(measured: ReportedValidation) -> TableCell:
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in measured.dropped.items())
    return TableCell.counted(sum(measured.dropped.values()), reasons)


def _before_and_after(
    group: str, points_of: Callable[[ReportedValidation], Points], factor: float = 1
) -> list[Field[ReportedValidation]]:
    def before(measured: ReportedValidation) -> TableCell:
        points = points_of(measured)
        return _measure(points[0][1] * factor if points and points[0][0] == 0 else None)

    def after(measured: ReportedValidation) -> TableCell:
        points = points_of(measured)
        models = [value for step, value in points if step > 0 and measured.kept in (None, step)]
        return replace(_measure(models[-1] * factor if models else None), curve=_curve(points))

    return [Field("before", before, MEASURE, group), Field("after", after, MEASURE, group)]


def _measure(value: float | None) -> TableCell:
    if value is None:
        return TableCell.dash("this training did not measure it")
    if not math.isfinite(value):
        return TableCell.dash("the model's probabilities are no finite numbers")
    return TableCell.number(value, formatted(value, MEASURE))


def _numbers(rows: Rows[ReportedNumber], order: Order, asked: int) -> Table:
    shown = []
    for labels, seeds in rows:
        first, *others = seeds.values()
        form = PERCENT if first.share_of else MEAN
        fields: list[Field[ReportedNumber]] = [
            Field("", lambda one: replace(_counted(one, _at_first(one)), curve=_curve(one.points)), form),
            Field("", lambda one: _counted(one, one.points[-1][1] if one.points else None), form),
            Field("", lambda one: _counted(one, one.total / one.count if one.count else None), form),
        ]
        total, number = (sum(of) for of in zip(*((one.total, one.count) for one in (first, *others)), strict=True))
        text = f"{total:,.0f} of {number:,.0f} {first.share_of}" if first.share_of else ""
        counted = TableCell.said(text) if text else TableCell()
        shown.append(Row(labels, (*field_cells(seeds, fields, asked), counted)))
    caption = f"{COUNTED} {BY_SEED} What was counted is all seeds' together." if asked > 1 else COUNTED
    columns = tuple(map(Column, ("first step", "last steps", "whole training", "counted")))
    title, stub = "Numbers of the objectives", (*STUB, "number")
    return Table(title, caption, stub, columns, tuple(shown), row_words=order.training_words)


def _at_first(number: ReportedNumber) -> float | None:
    return number.points[0][1] if number.points and number.points[0][0] == 1 else None


def _counted(number: ReportedNumber, value: float | None) -> TableCell:
    if value is None:
        return TableCell.dash("nothing to count")
    factor, form = (100, PERCENT) if number.share_of else (1, MEAN)
    return TableCell.number(factor * value, formatted(factor * value, form))
