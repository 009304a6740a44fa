"""Kind ``curves``: scores along the share of perturbed rows, the number of rows, or an argument of an objective.

A point is the mean over the draws of its training sets, with their range. The figure has a panel for each model; the
table beside it has the same numbers, and the best setting with its bootstrap interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Annotated, ClassVar

from pydantic import Field, model_validator
from typing_extensions import override

from raysweep.analysis.exhibits.base import EXHIBITS, Digits, Drawn, Evidence, Exhibit, NothingToDraw, unknown_metric
from raysweep.analysis.exhibits.curves.best import best_setting
from raysweep.analysis.exhibits.curves.settings import (
    LACKING,
    Along,
    Argument,
    Curve,
    Setting,
    argument_curve,
    curve_of,
)
from raysweep.analysis.exhibits.recipes.finding import label_without_recipe
from raysweep.analysis.exhibits.selections import select_test_sets, select_training_sets
from raysweep.analysis.figures.lines import LevelLine, Line, LineFigure, Panel, Point, Tick
from raysweep.analysis.tables.frame import ALL_SEEDS, ModelVariant, ScoreFrame, ScoreKey
from raysweep.analysis.tables.quantities import PASS, Quantity, draws_sentence, quantity_of, score_cell
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.records import BASE, CLEAN

HEADINGS = {"ratio": "perturbed rows", "size": "rows, as a multiple of the source's"}
X_LABELS = {"ratio": "perturbed training rows, %", "size": "training rows, × the source's"}
BEST = (
    "Best: the setting with the highest pass@1, and its 95 % interval: the run of neighbouring settings that are best "
    "in so many bootstrap resamples of the problems."
)
STEPS = "optimizer steps"
BESIDE = "beside them"


@EXHIBITS.register("curves")
class Curves(Exhibit):
    """A figure of scores along a setting of training, a panel for each model, and its numbers."""

    has_figure: ClassVar[bool] = True

    along: Along
    """What changes along the curve: the share of perturbed rows (``ratio``), the number of rows (``size``), or an
    ``argument`` of an objective."""
    argument: Argument | None = None
    """Which argument."""
    beside: Sequence[str] = ()
    """Recipes whose score is a level line beside a curve of an argument; ``base``: the model before fine-tuning."""
    training_sets: Annotated[Sequence[str], Field(min_length=1)] = (CLEAN,)
    """Training sets of a curve of an argument; each has its own figure."""
    test_sets: Annotated[list[str], Field(min_length=1)]
    quantities: Digits
    """Metrics, each with its digits after the point; the figure shows the first, the table all."""

    @model_validator(mode="after")
    def _fits(self) -> Curves:
        if (self.along == "argument") != (self.argument is not None):
            raise ValueError("a curve along an argument names it under `argument`, and no other curve does")
        if self.along != "argument" and (self.beside or tuple(self.training_sets) != (CLEAN,)):
            raise ValueError("`beside` and `training_sets` belong to a curve along an argument; leave them out")
        return self

    @override
    def reads(self, frame: ScoreFrame) -> Iterable[tuple[str, str]]:
        curves = self._curves(frame)
        if PASS.metric not in self.quantities:
            return ()
        names = (name for curve in curves for setting in curve.settings for name in setting.training_sets)
        return product(dict.fromkeys(names), select_test_sets(frame, self.test_sets).names)

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        curves = self._curves(evidence.frame)
        if not curves:
            raise NothingToDraw(self._lacking())
        tests = select_test_sets(evidence.frame, self.test_sets).names
        figures, tables = [], []
        for problems, curve in product(evidence.frame.problem_sets, curves):
            part = curve.settings[0].training_sets[0] if len(curves) > 1 else ""
            drawing = _Drawing(self, evidence, curve, tests, problems, part)
            if (figure := drawing.figure()) is not None:
                figures.append(figure)
                tables.append(drawing.table())
        if not figures:
            first = next(iter(self.quantities))
            raise NothingToDraw(unknown_metric(evidence.frame, first) or f"no model on the curve has {first} yet")
        return Drawn(tuple(tables), tuple(figures))

    def _curves(self, frame: ScoreFrame) -> list[Curve]:
        if self.argument is None:
            return [curve] if (curve := curve_of(frame.order, self.along)) is not None else []
        sets = [name for name in select_training_sets(frame, self.training_sets).names if name != BASE]
        curves = [argument_curve(frame.order, self.argument, name) for name in sets]
        return [curve for curve in curves if curve is not None]

    def _lacking(self) -> str:
        if self.argument is None:
            return LACKING[self.along]
        return (
            f"it has no two recipes of the objective {self.argument.objective} that differ in nothing but "
            f"{self.argument.argument}"
        )


class _Drawing:
    def __init__(
        self, exhibit: Curves, evidence: Evidence, curve: Curve, tests: tuple[str, ...], problems: str, part: str = ""
    ) -> None:
        self.exhibit = exhibit
        self.evidence = evidence
        self.frame = evidence.frame
        self.curve = curve
        self.tests = tests
        self.problems = problems
        self.quantities = [quantity_of(name, digits) for name, digits in exhibit.quantities.items()]
        self.title = exhibit.titled(self.frame, part, problems)
        self.label = "-".join(filter(None, (exhibit.id, part, problems)))
        self.variants = _panels(self.frame, curve)
        self.best = {
            (variant, test): best_setting(curve, evidence, variant, (problems, test))
            for variant in self.variants
            for test in tests
        }

    def figure(self) -> LineFigure | None:
        panels = [self._panel(variant) for variant in self.variants]
        drawn = tuple(panel for panel in panels if panel.lines)
        if not drawn:
            return None
        quantity = self.quantities[0]
        has_steps = any("\n" in tick.label for panel in drawn for tick in panel.ticks)
        argument = self.curve.argument
        x_label = argument.label if argument else X_LABELS[self.curve.along] + (", and steps" if has_steps else "")
        caption = self._caption("a bar goes")
        return LineFigure(self.title, caption, self.label, x_label, f"{quantity.label}, {quantity.unit}", drawn)

    def table(self) -> Table:
        rows = [row for variant in self.variants for row in self._rows(variant)]
        best = any(cell.text for cell in self.best.values())
        heading = self.curve.argument.label if self.curve.argument else HEADINGS[self.curve.along]
        columns = [Column(self.curve.label(setting), heading) for setting in self.curve.settings]
        columns += [Column(name, BESIDE) for name in self.exhibit.beside]
        columns += [Column("best")] if best else []
        return Table(
            title=self.title,
            caption=self._caption("brackets go") + (f" {BEST}" if best else ""),
            stub=("model", "test prompts", "quantity"),
            columns=tuple(columns),
            rows=tuple(replace(row, cells=row.cells[: len(columns)]) for row in rows),
            row_words=self.frame.order.words,
            label=self.label,
        )

    def _rows(self, variant: ModelVariant) -> Iterator[Row]:
        for test in self.tests:
            for quantity in self.quantities:
                cells = [self._cell(variant, setting, test, quantity) for setting in self.curve.settings]
                cells += [self._beside(variant, name, test, quantity) for name in self.exhibit.beside]
                best = self.best[variant, test] if quantity.metric == PASS.metric else TableCell()
                if any(cell.state != "empty" for cell in cells):
                    yield Row((variant.label, test, quantity.heading), (*cells, best))
        steps = [self._steps(variant, setting) for setting in self.curve.settings]
        if self.curve.along == "size" and any(steps):
            shown = [TableCell.number(n, f"{n:,}") if n else TableCell() for n in steps]
            yield Row((variant.label, "", STEPS), (*shown, TableCell()))

    def _caption(self, spread: str) -> str:
        curve, order = self.curve, self.frame.order
        perturbed = any(test != CLEAN for test in self.tests)
        if curve.argument is not None:
            of_argument = _argument_sentences(curve, curve.argument, self.exhibit.beside)
            return self.exhibit.captioned(*of_argument, draws_sentence(self.frame) if perturbed else "")
        what = order.test_label(curve.perturbation)
        share = "a share" if curve.along == "ratio" else f"{100 * curve.ratio:g} %"
        sentences = [f"Training sets with {share} of their rows perturbed by {what}."]
        if curve.perturbation == CLEAN:
            sentences = ["Training sets of clean rows."]
        most = max(len(setting.training_sets) for setting in curve.settings)
        if most > 1:
            sentences.append(
                f"A number is the mean over the random choices of perturbed rows, up to {most}; {spread} from the "
                "smallest to the largest of them."
            )
        sentences += [
            f"At {curve.label(setting)} {100 * setting.other_ratio:g} % of the rows are perturbed, since no set of "
            f"this size has {100 * curve.ratio:g} %; that point is hollow, and none of those of which one is the best."
            for setting in curve.settings
            if setting.other_ratio is not None
        ]
        return self.exhibit.captioned(*sentences, draws_sentence(self.frame) if perturbed else "")

    def _panel(self, variant: ModelVariant) -> Panel:
        styled = [(test, style) for style, test in enumerate((CLEAN, *(t for t in self.tests if t != CLEAN)))]
        lines = [self._line(variant, test, style) for test, style in styled if test in self.tests]
        drawn = tuple(line for line in lines if line.points)
        ticks = tuple(Tick(self._x(setting), self._tick(variant, setting)) for setting in self.curve.settings)
        first = self.tests[0] if self.tests else ""
        found = [(name, self._beside(variant, name, first, self.quantities[0])) for name in self.exhibit.beside]
        levels = tuple(LevelLine(name, cell.value) for name, cell in found if not math.isnan(cell.value))
        return Panel(variant.label, ticks, drawn, self._notes(variant), levels)

    def _line(self, variant: ModelVariant, test: str, style: int) -> Line:
        points = []
        for setting in self.curve.settings:
            cell = self._cell(variant, setting, test, self.quantities[0])
            if not math.isnan(cell.value):
                hollow = setting.other_ratio is not None
                points.append(Point(self._x(setting), cell.value, cell.low, cell.high, hollow))
        label = "clean prompts" if test == CLEAN else self.frame.order.test_label(test)
        return Line(label, style, tuple(points))

    def _notes(self, variant: ModelVariant) -> tuple[str, ...]:
        if self.quantities[0].metric != PASS.metric:
            return ()
        best = [(test, self.best[variant, test]) for test in self.tests]
        return tuple(f"best on {test}: {cell.text} {cell.interval}" for test, cell in best if cell.text)

    def _cell(self, variant: ModelVariant, setting: Setting, test: str, quantity: Quantity) -> TableCell:
        """Return the mean over a setting's draws, with their range as its interval."""
        keys = [ScoreKey(setting.of(variant), name, self.problems, test) for name in setting.training_sets]
        cells = [score_cell(self.frame, key, quantity) for key in keys]
        numbers = [cell for cell in cells if not math.isnan(cell.value)]
        if not numbers:
            return next((cell for cell in cells if cell.state != "empty"), TableCell())
        values = [cell.value for cell in numbers]
        mean = sum(values) / len(values)
        low, high = (min(values), max(values)) if len(values) > 1 else (math.nan, math.nan)
        of = "" if len(numbers) == len(cells) else f"{len(numbers)} of {len(cells)} draws have a number"
        return TableCell.number(
            mean,
            quantity.format(mean / 100),
            "; ".join(dict.fromkeys(filter(None, (*(cell.note for cell in numbers), of)))),
            interval=f"[{quantity.format(low / 100)}, {quantity.format(high / 100)}]" if len(values) > 1 else "",
            low=low,
            high=high,
            n=min(cell.n for cell in numbers),
        )

    def _beside(self, variant: ModelVariant, recipe: str, test: str, quantity: Quantity) -> TableCell:
        trained_on = BASE if recipe == BASE else self.curve.settings[0].training_sets[0]
        cell = score_cell(
            self.frame, ScoreKey(replace(variant, recipe=recipe), trained_on, self.problems, test), quantity
        )
        return TableCell() if cell.state == "missing" else cell

    def _steps(self, variant: ModelVariant, setting: Setting) -> int:
        trained = [
            training.steps or 0
            for training in self.evidence.trainings
            if (training.model, training.recipe) == (variant.model, variant.recipe)
            and variant.seed in (training.seed, ALL_SEEDS)
            and training.training_set in setting.training_sets
        ]
        return next(iter(trained), 0)

    def _x(self, setting: Setting) -> float:
        if self.curve.along == "argument":
            return setting.value
        return 100 * setting.value if self.curve.along == "ratio" else math.log2(setting.value)

    def _tick(self, variant: ModelVariant, setting: Setting) -> str:
        if self.curve.along == "ratio":
            return f"{100 * setting.value:g}"
        steps = self._steps(variant, setting) if self.curve.along == "size" else 0
        return self.curve.label(setting) + (f"\n{steps:,}" if steps else "")


def _panels(frame: ScoreFrame, curve: Curve) -> list[ModelVariant]:
    if curve.argument is None:
        return list(frame.variants)
    panels: dict[tuple[str, int], ModelVariant] = {}
    of_curve = [setting.recipe for setting in curve.settings]
    for variant in frame.variants:
        if variant.recipe in of_curve:
            panels.setdefault(
                (variant.model, variant.seed), replace(variant, label=label_without_recipe(frame, variant))
            )
    return list(panels.values())


def _argument_sentences(curve: Curve, argument: Argument, beside: Sequence[str]) -> list[str]:
    own = [setting for setting in curve.settings if setting.recipe not in argument.also]
    sentences = (
        [f"Recipes of the objective {argument.objective} that differ in {argument.argument} only."] if own else []
    )
    sentences += [
        f"At {curve.label(setting)} is the recipe {setting.recipe}."
        for setting in curve.settings
        if setting.recipe in argument.also
    ]
    if beside:
        sentences.append(
            f"Beside them, trained on the same training set: {' and '.join(beside)}; in the figure level lines."
        )
    return sentences
