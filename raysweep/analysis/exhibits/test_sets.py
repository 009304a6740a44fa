"""Kind ``test-sets``: a table of the prompts that each perturbation left unchanged, and of those it broke."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from raysweep.analysis.exhibits.base import (
    COMPARISONS,
    EXHIBITS,
    Counted,
    Drawn,
    Evidence,
    Exhibit,
    Group,
    Id,
    NothingToDraw,
    Text,
)
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.table import Column, Row, Table, TableCell

METRICS = ("rows_unchanged", "rows_not_compiling")


@EXHIBITS.register("test-sets")
class TestSets(Exhibit):
    """A table for each problem set: its number of problems, and the counts of prompts, by perturbation."""

    place: ClassVar[str] = "scores/10-test-sets"

    id: Id = "test-sets"
    title: Text = "Test sets of {problem set}"
    caption: str = "Number of prompts that each perturbation left unchanged, and of prompts that no longer compile."
    at_least: Mapping[Counted, Annotated[int, Field(ge=1)]] = {"perturbation": 2}
    group: Group = COMPARISONS

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        frame = evidence.frame
        tables = tuple(
            Table(
                self.title.replace("{problem set}", problems),
                self.captioned(f"Means over {text}." if (text := frame.order.draws_text) else ""),
                ("perturbation",),
                (Column("problems"), Column("unchanged"), Column("not compiling")),
                tuple(rows),
                row_words=frame.order.words,
                column_words=frame.order.training_words,
                problem_set=problems,
            )
            for problems in frame.problem_sets
            if (rows := _rows(frame, problems))
        )
        if not tables:
            raise NothingToDraw("it has no test set of perturbed prompts whose prompts were counted")
        return Drawn(tables)


def unchanged_sentence(frame: ScoreFrame, problems: str) -> str:
    counts = [
        f"{frame.order.test_label(row.labels[0])} {row.cells[1].text}/{row.cells[2].text}"
        for row in _rows(frame, problems)
    ]
    return f"Prompts left unchanged / no longer compiling: {', '.join(counts)}." if counts else ""


def _rows(frame: ScoreFrame, problems: str) -> list[Row]:
    rows = []
    for name in frame.perturbations:
        counts = [frame.all_scores(problems, name, metric) for metric in METRICS]
        if any(counts):
            sizes = [float(score.n) for scores in counts for score in scores]
            values = [[score.value for score in scores] for scores in counts]
            rows.append(Row((name,), (_count_cell(sizes), *map(_count_cell, values))))
    return rows


def _count_cell(values: Sequence[float]) -> TableCell:
    """Return the count, or a range if it differs between models, which may be evaluated on different problems."""
    finite = sorted({value for value in values if not math.isnan(value)})
    if not finite:
        return TableCell.dash("not counted")
    text = "–".join(f"{round(value, 1):g}" for value in dict.fromkeys((finite[0], finite[-1])))
    return TableCell.number(finite[-1], text)
