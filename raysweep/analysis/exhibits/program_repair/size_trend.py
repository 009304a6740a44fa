"""Kind ``size-trend``: scores by the number of weights of a family's models, and whether they rise with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import ClassVar

from typing_extensions import override

from raysweep.analysis.exhibits.base import EXHIBITS, Drawn, Evidence, Group, Id, NothingToDraw, Text
from raysweep.analysis.exhibits.program_repair.cases import READS, case_of, patches_by_seed
from raysweep.analysis.exhibits.program_repair.faulty_lines import shows_fault
from raysweep.analysis.exhibits.program_repair.models import (
    HEADLINE_RULE,
    RepairExhibit,
    RepairModel,
    headline_metric,
    repair_sets,
)
from raysweep.analysis.exhibits.recipes.regimes import NONE, REGIMES
from raysweep.analysis.exhibits.selections import select_test_sets
from raysweep.analysis.figures.lines import Line, LineFigure, Panel, Point, Tick
from raysweep.analysis.tables.frame import ALL_SEEDS
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.records import CLEAN

COLUMNS = ("models", "from", "to", "smallest (%)", "largest (%)", "difference (points)", "reads", "in between")
RISES, FALLS, LEVEL, MIXED = "rises at each step", "falls at each step", "all are equal", "rises and falls"
BETWEEN = f'In between: "{RISES}" where each model is better than the next smaller one, and so on.'
SHARED_SEEDS = "The models of a family and fine-tuning method are compared over the seeds that all of them have."
PROMPTS = {True: "with the faulty lines", False: "without the faulty lines", None: ""}


@dataclass(frozen=True)
class _Series:
    """The models of a family that differ in size, smallest first: the same regime, prompts, test set and seeds."""

    family: str
    prompts: str  # whether they show the faulty lines, in words
    label: str  # of the regime
    problem_set: str
    perturbation: str
    metric: str
    models: tuple[RepairModel, ...]
    values: tuple[float, ...]  # shares

    @property
    def steps(self) -> str:
        signs = {(after > before) - (after < before) for before, after in pairwise(self.values)}
        return {frozenset({1}): RISES, frozenset({-1}): FALLS, frozenset({0}): LEVEL}.get(frozenset(signs), MIXED)


def weights_by_model(evidence: Evidence) -> dict[str, int]:
    return {training.model: training.weights for training in evidence.trainings if training.weights}


def short(number: float) -> str:
    """Return a number of weights as ``6.7B``, ``350M`` or ``24k``."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.3g}{letter}"
    return f"{number:g}"


@EXHIBITS.register("size-trend")
class SizeTrend(RepairExhibit):
    """A figure for each problem set, with a panel for each family, and a table of the smallest and largest models."""

    has_figure: ClassVar[bool] = True
    place: ClassVar[str] = "program_repair/figure-sizes"

    id: Id = "repair-sizes"
    title: Text = "Plausible patches by the size of the model"
    source: str = "repair study's comparison"
    caption: str = "A panel for each family and kind of prompts, a line for each fine-tuning method."
    group: Group = ""

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        by_set: dict[tuple[str, str], list[_Series]] = {}
        for series in _all_series(evidence, self):
            by_set.setdefault((series.problem_set, series.perturbation), []).append(series)
        if not by_set:
            raise NothingToDraw("no family has verdicts of two models whose numbers of weights differ and are known")
        figures = tuple(self._figure(evidence, name, series) for name, series in by_set.items())
        tables = tuple(self._table(evidence, name, series) for name, series in by_set.items())
        return Drawn(tables, figures)

    def _figure(self, evidence: Evidence, name: tuple[str, str], found: Sequence[_Series]) -> LineFigure:
        weights = weights_by_model(evidence)
        panels: dict[tuple[str, str], list[_Series]] = {}
        for series in found:
            panels.setdefault((series.family, series.prompts), []).append(series)
        return LineFigure(
            self.titled(evidence.frame, _named(name)),
            self.captioned(HEADLINE_RULE, _shared_seeds_text(evidence, found)),
            self._label(name),
            "weights of the model",
            f"{found[0].metric} (%)",
            tuple(_panel(", ".join(filter(None, title)), of, weights) for title, of in panels.items()),
        )

    def _table(self, evidence: Evidence, name: tuple[str, str], found: Sequence[_Series]) -> Table:
        weights = weights_by_model(evidence)
        rows = []
        for series in found:
            ends = (series.models[0], series.models[-1])
            case = case_of(evidence, ends, name, series.metric)
            if case is not None:
                first, last, difference, _, reads = case.cells()
                texts = (f"{one.cell.model} ({short(weights[one.cell.model])})" for one in ends)
                cells = (
                    TableCell.number(float(len(series.models)), str(len(series.models))),
                    *(TableCell.said(text) for text in texts),
                    first,
                    last,
                    difference,
                    reads,
                    TableCell.said(series.steps),
                )
                rows.append(Row((series.family, series.prompts, series.label), cells))
        return Table(
            title=self.titled(evidence.frame, _named(name)),
            caption=self.captioned(
                f"{found[0].metric} of the smallest and the largest model of each family.",
                READS,
                BETWEEN,
                _shared_seeds_text(evidence, found),
            ),
            stub=("family", "prompts", "regime"),
            columns=tuple(map(Column, COLUMNS)),
            rows=tuple(rows),
            label=self._label(name),
            problem_set=name[0],
        )

    def _label(self, name: tuple[str, str]) -> str:
        return "-".join([self.id, *(part for part in name if part != CLEAN)])


def _named(name: tuple[str, str]) -> str:
    return name[0] if name[1] == CLEAN else f"{name[0]}, {name[1]}"


def _all_series(evidence: Evidence, exhibit: RepairExhibit) -> list[_Series]:
    frame, weights = evidence.frame, weights_by_model(evidence)
    tests = select_test_sets(frame, exhibit.test_sets).names
    groups: dict[tuple[str, ...], dict[int, RepairModel]] = {}
    for model in exhibit.models(evidence):
        if model.cell.model in weights:
            groups.setdefault(_alike(evidence, model), {}).setdefault(weights[model.cell.model], model)
    groups = {key: sizes for key, sizes in groups.items() if len(sizes) > 1}
    found = []
    for (family, prompts, form, regime, *rest), sizes in groups.items():
        several = len([key for key in groups if key[:4] == (family, prompts, form, regime)]) > 1
        label = " · ".join([regime, *(rest if several else ())])
        for name, test in ((name, test) for name in repair_sets(frame) for test in tests):
            metric = headline_metric(frame, name)
            values = _over_shared_seeds(evidence, [sizes[size] for size in sorted(sizes)], (name, test), metric)
            if len(values) > 1:
                models, shares = zip(*values, strict=True)
                found.append(_Series(family, prompts, label, name, test, metric, models, shares))
    return found


def _over_shared_seeds(
    evidence: Evidence, models: Sequence[RepairModel], test_set: tuple[str, str], metric: str
) -> list[tuple[RepairModel, float]]:
    """Base models have no seeds. Fine-tuned ones without a seed in common can't be compared, so there is none."""
    judged = [(model, of) for model in models if (of := patches_by_seed(evidence, model, test_set, metric))]
    shared = set[int].intersection(*(set(of) for _, of in judged)) if judged else set()
    found = []
    for model, of in judged:
        seeds = tuple(cell for cell in model.seeds if model.regime == NONE or cell.seed in shared)
        if seeds:
            share = fmean(fmean(of[cell.seed].values()) for cell in seeds)
            found.append((replace(model, seeds=seeds), share))
    return found


def _shared_seeds_text(evidence: Evidence, found: Sequence[_Series]) -> str:
    asked = evidence.frame.order.seeds
    pooled = [model for series in found for model in series.models if model.cell.seed == ALL_SEEDS]
    return SHARED_SEEDS if any(len(model.seeds) < asked for model in pooled) else ""


def _alike(evidence: Evidence, model: RepairModel) -> tuple[str, ...]:
    fault = evidence.frame.order.faults.get(model.cell.model)
    cell = model.cell
    seed = () if cell.seed == ALL_SEEDS else (f"seed {cell.seed}",)
    tuned = () if model.regime == NONE else (cell.recipe, cell.training_set, *seed)
    form = f"{fault.form} {fault.after}" if fault else ""
    return (model.family, PROMPTS[shows_fault(evidence.frame.order, model)], form, model.regime, *tuned)


def _panel(title: str, found: Sequence[_Series], weights: Mapping[str, int]) -> Panel:
    sizes = sorted({weights[model.cell.model] for series in found for model in series.models})
    lines = tuple(
        Line(
            series.label,
            REGIMES.index(series.models[0].regime),
            tuple(
                Point(math.log10(weights[model.cell.model]), 100 * value)
                for model, value in zip(series.models, series.values, strict=True)
            ),
        )
        for series in found
    )
    return Panel(title, tuple(Tick(math.log10(size), short(size)) for size in sizes), lines)
