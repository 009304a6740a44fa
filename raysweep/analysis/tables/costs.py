"""Builds the table of what a sweep cost: hours by stage and of GPUs, completions and programs, and what was reused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.units import decimal

ALL = "all"
_UNKNOWN = TableCell("–", note="not recorded by the version that made it", state="undefined")


@dataclass(frozen=True)
class Cost:
    """What the cells of one base model cost, by the manifests of their artefacts, whichever run made these.

    A number that some version did not record is NaN.

    Attributes:
        model: the base model.
        trainings: number of trainings, its pre-training among them.
        training_hours: CPU-hours of these.
        generation_hours: CPU-hours of the processes that wrote completions, without those of attempts that were ended.
        program_hours: CPU-hours of the programs that were executed.
        linting_hours: CPU-hours of the linter; 0 where nothing was linted.
        gpu_hours: GPU-hours of its cells in this sweep's runs; 0 where they held no GPU.
        completions: that its cells asked for.
        generated: of these, those that a model wrote; the others were there already, or are equal to these.
        tokens: that were written.
        programs: verdicts of its cells.
        programs_run: programs that were executed for these.
        edits: number of models that were edited from an edit example.
        edit_hours: CPU-hours of these edits, their checks among them.
    """

    model: str
    trainings: int = 0
    training_hours: float = 0.0
    generation_hours: float = 0.0
    program_hours: float = 0.0
    linting_hours: float = 0.0
    gpu_hours: float = 0.0
    completions: float = 0
    generated: float = 0
    tokens: float = 0
    programs: float = 0
    programs_run: float = 0
    edits: int = 0
    edit_hours: float = 0.0


def cost_table(costs: Sequence[Cost]) -> Table:
    edits = any(cost.edits for cost in costs)
    rows = [Row((cost.model,), _cells(cost, edits)) for cost in costs]
    if len(costs) > 1:
        names = [column.name for column in fields(Cost)[1:]]
        total = Cost(ALL, **{name: sum(getattr(cost, name) for cost in costs) for name in names})
        rows.append(Row((ALL,), _cells(total, edits)))
    caption = (
        "By the manifests of the sweep's artefacts, whichever run made them. Generated and run: the share of "
        "completions that a model wrote, and of programs that were executed; the others were in the store already, or "
        "are equal to one of these. Hours of programs are their effective time; those of generation are of the attempt "
        "that ended well, those of a training of its first worker since it was resumed. GPU-hours are of all stages, "
        "as far as the sweep's own runs used them."
    )
    columns = (
        Column("trainings"),
        *([Column("edits")] if edits else []),
        Column("trainings", "CPU-hours"),
        *([Column("edits", "CPU-hours")] if edits else []),
        Column("generation", "CPU-hours"),
        Column("programs", "CPU-hours"),
        Column("linting", "CPU-hours"),
        Column("GPU-hours", "this sweep's"),
        Column("asked for", "completions"),
        Column("generated (%)", "completions"),
        Column("tokens", "completions"),
        Column("verdicts", "programs"),
        Column("run (%)", "programs"),
    )
    return Table("Cost", caption, ("model",), columns, tuple(rows))


def _cells(cost: Cost, edits: bool) -> tuple[TableCell, ...]:
    return (
        _whole(cost.trainings),
        *([_whole(cost.edits)] if edits else []),
        _hours(cost.training_hours),
        *([_hours(cost.edit_hours)] if edits else []),
        _hours(cost.generation_hours),
        _hours(cost.program_hours),
        _hours(cost.linting_hours),
        _hours(cost.gpu_hours),
        _whole(cost.completions),
        _share(cost.generated, cost.completions),
        _whole(cost.tokens),
        _whole(cost.programs),
        _share(cost.programs_run, cost.programs),
    )


def _whole(number: float) -> TableCell:
    return _UNKNOWN if math.isnan(number) else TableCell(f"{number:,.0f}", value=float(number), state="value")


def _hours(number: float) -> TableCell:
    if math.isnan(number):
        return _UNKNOWN
    return TableCell(f"{number:.3g}" if number < 100 else f"{number:,.0f}", value=number, state="value")


def _share(part: float, whole: float) -> TableCell:
    if not whole:
        return TableCell()
    if math.isnan(part / whole):
        return _UNKNOWN
    return TableCell(decimal(100 * part / whole), value=100 * part / whole, state="value")
