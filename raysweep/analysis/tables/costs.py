"""Builds the table of what a sweep cost: hours by stage and of GPUs, completions and programs, and what was reused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from raysweep.analysis.tables.records import Field, one_each, record_table
from raysweep.analysis.tables.table import Table, TableCell
from raysweep.units import decimal, hours

ALL = "all"
_UNKNOWN = TableCell.dash("not recorded by the version that made it")


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
    rows = list(costs)
    if len(costs) > 1:
        names = [column.name for column in fields(Cost)[1:]]
        total = Cost(ALL, **{name: sum(getattr(cost, name) for cost in costs) for name in names})
        rows.append(total)
    has_edits = any(cost.edits for cost in costs)
    columns: list[Field[Cost]] = [
        Field("trainings", lambda cost: _whole(cost.trainings)),
        *([Field[Cost]("edits", lambda cost: _whole(cost.edits))] if has_edits else []),
        Field("trainings", lambda cost: _hours(cost.training_hours), group="CPU-hours"),
        *([Field[Cost]("edits", lambda cost: _hours(cost.edit_hours), group="CPU-hours")] if has_edits else []),
        Field("generation", lambda cost: _hours(cost.generation_hours), group="CPU-hours"),
        Field("programs", lambda cost: _hours(cost.program_hours), group="CPU-hours"),
        Field("linting", lambda cost: _hours(cost.linting_hours), group="CPU-hours"),
        Field("GPU-hours", lambda cost: _hours(cost.gpu_hours), group="this sweep's"),
        Field("asked for", lambda cost: _whole(cost.completions), group="completions"),
        Field("generated (%)", lambda cost: _share(cost.generated, cost.completions), group="completions"),
        Field("tokens", lambda cost: _whole(cost.tokens), group="completions"),
        Field("verdicts", lambda cost: _whole(cost.programs), group="programs"),
        Field("run (%)", lambda cost: _share(cost.programs_run, cost.programs), group="programs"),
    ]
    caption = (
        "By the manifests of the sweep's artefacts, whichever run made them. Generated and run: the share of "
        "completions that a model wrote, and of programs that were executed; the others were in the store already, or "
        "are equal to one of these. Hours of programs are their effective time; those of generation are of the attempt "
        "that ended well, those of a training of its first worker since it was resumed. GPU-hours are of all stages, "
        "as far as the sweep's own runs used them."
    )
    return record_table("Cost", caption, ("model",), one_each(((cost.model,), cost) for cost in rows), columns)


def _whole(number: float) -> TableCell:
    return _UNKNOWN if math.isnan(number) else TableCell.counted(number)


def _hours(number: float) -> TableCell:
    return _UNKNOWN if math.isnan(number) else TableCell.number(number, hours(number))


def _share(part: float, whole: float) -> TableCell:
    if not whole:
        return TableCell()
    share = 100 * part / whole
    return _UNKNOWN if math.isnan(share) else TableCell.number(share, decimal(share))
