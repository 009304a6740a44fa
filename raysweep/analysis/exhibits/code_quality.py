"""Kinds ``lint-messages`` and ``lint-scores``: what pylint says of a sample of the completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from typing_extensions import override

from raysweep.analysis.exhibits.base import (
    EXHIBITS,
    LINTED,
    QUALITY,
    Drawn,
    Evidence,
    Exhibit,
    Group,
    Id,
    Need,
    NothingToDraw,
    Text,
)
from raysweep.analysis.exhibits.curves.settings import LACKING, curve_of
from raysweep.analysis.figures.lint_scores import quality_figure
from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.quality_tables import (
    PERTURBED,
    FileGroup,
    code_count_table,
    problem_sets_of,
    training_groups,
)
from raysweep.analysis.tables.table import Table


@EXHIBITS.register("lint-messages")
class LintMessages(Exhibit):
    """A table of pylint's messages by code, per 100 files, with a block of rows for each model."""

    subject: ClassVar[Need] = LINTED

    group: Group = QUALITY

    by: Literal["training set", "ratio", "size"]
    """What the columns are: groups of training sets, shares of perturbed rows, or numbers of rows."""

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        groups, sentence = self._groups(evidence.frame.order)
        if not groups:
            raise NothingToDraw(LACKING[self.by])
        return Drawn(tuple(self._tables(evidence, groups, sentence)))

    def _tables(self, evidence: Evidence, groups: tuple[FileGroup, ...], sentence: str) -> Iterator[Table]:
        order = evidence.frame.order
        for problems in problem_sets_of(evidence.linted, order):
            head = {"title": self.titled(evidence.frame, problems), "caption": self.captioned(sentence)}
            yield code_count_table(evidence.linted, groups, order, problems, **head, label=f"{self.id}-{problems}")

    def _groups(self, order: Order) -> tuple[tuple[FileGroup, ...], str]:
        if self.by == "training set":
            groups = training_groups(order)
            return groups, "perturbed: all training sets with perturbed rows." if groups[-1].name == PERTURBED else ""
        curve = curve_of(order, self.by)
        if curve is None:
            return (), ""
        what = "share" if self.by == "ratio" else "size"
        sentences = [f"Training sets of one {what} are counted together."]
        sentences += [
            f"At {curve.label(setting)} {100 * setting.other_ratio:g} % of the rows are perturbed, elsewhere "
            f"{100 * curve.ratio:g} %."
            for setting in curve.settings
            if setting.other_ratio is not None
        ]
        groups = tuple(FileGroup(curve.label(setting), setting.training_sets) for setting in curve.settings)
        return groups, " ".join(sentences)


@EXHIBITS.register("lint-scores")
class LintScores(Exhibit):
    """A figure of pylint's scores, with a panel for each problem set. Its numbers are in the tables of code quality."""

    has_figure: ClassVar[bool] = True
    has_table: ClassVar[bool] = False
    subject: ClassVar[Need] = LINTED
    place: ClassVar[str] = "robust_finetuning/figure-07"

    id: Id = "figure-7"
    title: Text = "pylint's scores by model and training set"
    source: str = "robust fine-tuning study's figure 7"
    caption: str = (
        "Each stroke is a file; marks are means of the files that have a score, bands their 95 % intervals. "
        "Messages that only cutting out a file causes count in its score, and bring one of few statements to "
        "0."
    )

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        order = evidence.frame.order
        figure = quality_figure(evidence.linted, order, self.titled(evidence.frame), self.captioned(), self.id)
        if figure is None:
            raise NothingToDraw(LINTED.lacking)
        return Drawn(figures=(figure,))
