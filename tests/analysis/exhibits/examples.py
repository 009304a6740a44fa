"""A sweep with the study's printed numbers, and one with its ratios and sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from raysweep.analysis.comparisons.base import ProblemRates
from raysweep.analysis.exhibits.base import Drawn, Evidence, Exhibit, NothingToDraw
from raysweep.analysis.exhibits.catalogue import read_exhibits
from raysweep.analysis.published.reference import published_scores
from raysweep.analysis.tables.frame import Failure, ScoreFrame
from raysweep.analysis.tables.order import Order, RowChoice
from raysweep.analysis.tables.table import Table, to_markdown
from raysweep.metrics.base import CellLabels
from raysweep.records import Score

PRINTED = published_scores("paper")
MIXES = ("C", "W", "S", "mix_all")
SINGLE = ("C1", "C2", "C3")
STUDY = Order(
    models=tuple(dict.fromkeys(one.model for one in PRINTED)),
    training_sets=("base", "clean", *SINGLE, *MIXES),
    problem_sets=("humaneval",),
    perturbations=("clean", *SINGLE, *MIXES),
    mixes=("mix_all", "C", "W", "S"),
    trained_with={name: name for name in ("clean", *SINGLE, *MIXES)},
    weights={one.model: one.model.removesuffix("-float16") for one in PRINTED},
)
EXHIBITS = read_exhibits()


def in_group(*groups: str) -> list[Exhibit]:
    """Return those of raysweep's own exhibits whose tables are of one of some groups, drawn from any small sweep."""
    chosen = [exhibit for exhibit in EXHIBITS.values() if exhibit.group in groups]
    return [exhibit.model_copy(update={"at_least": {}}) for exhibit in chosen]


def score(model: str, training_set: str, perturbation: str, metric: str, value: float, **more: object) -> Score:
    recipe = "none" if training_set == "base" else "full"
    one = Score(model, recipe, training_set, 42, "humaneval", perturbation, metric, value, math.nan, math.nan, 161)
    return replace(one, **more)


def printed_scores() -> list[Score]:
    return [score(one.model, one.training_set, one.perturbation, one.metric, one.value) for one in PRINTED]


def study(scores: Sequence[Score] | None = None, failures: Sequence[Failure] = (), **order: object) -> Evidence:
    found = printed_scores() if scores is None else scores
    return Evidence(ScoreFrame.of(found, replace(STUDY, **order), failures))


RATIOS = {"clean": 1.0, "some-a": 0.1, "some-b": 0.1, "some-c": 0.1, "half": 0.5, "most": 0.7, "typos": 1.0}
SIZES = {"quarter": 0.25, "twice": 2.0}
CURVES = Order(
    models=("one", "two"),
    training_sets=("base", *RATIOS, *SIZES),
    problem_sets=("humaneval",),
    perturbations=("clean", "typos"),
    mixes=("typos",),
    words={"typos": "typos of three kinds"},
    trained_with={"clean": "clean"} | dict.fromkeys([*RATIOS, *SIZES][1:], "typos"),
    rows={name: RowChoice(ratio) for name, ratio in RATIOS.items()}
    | {name: RowChoice(0.6, size) for name, size in SIZES.items()},
)
PASSED = {  # training set -> how many of 20 problems pass, clean and perturbed
    "clean": (12, 6), "some-a": (12, 8), "some-b": (11, 9), "some-c": (13, 10), "half": (12, 13), "most": (10, 11),
    "typos": (9, 10), "quarter": (8, 7), "twice": (12, 12),
}  # fmt: skip


def curve_evidence(models: Sequence[str] = ("one", "two"), **order: object) -> Evidence:
    """Two models whose sets have the numbers of `PASSED`; problem t passes if t is below the number."""
    scores, rates = [], {}
    for model in models:
        for name, passed in PASSED.items():
            clean, perturbed = (number / 20 for number in passed)
            scores += [
                score(model, name, "clean", "pass@1", clean, n=20),
                score(model, name, "typos", "pass@1", perturbed, n=20),
                score(model, name, "typos", "RD", (clean - perturbed) / clean, n=20),
                score(model, name, "typos", "drop", perturbed - clean, n=20),
            ]
            rates[CellLabels(model, "full", name, 42)] = {
                ("humaneval", test): rated(number) for test, number in zip(("clean", "typos"), passed, strict=True)
            }
    return Evidence(ScoreFrame.of(scores, replace(CURVES, **order)), rates)


def passing(number: int, of: int = 20) -> dict[str, float]:
    """The first so many of the problems pass; below 0, the last ones."""
    return {f"t{t:02}": float(t < number if number >= 0 else t >= of + number) for t in range(of)}


def rated(number: int, of: int = 20) -> ProblemRates:
    """Verdicts by problem of which so many pass."""
    return ProblemRates(passing(number, of), {}, 1, 1)


def tables(id: str, evidence: Evidence) -> list[Table]:
    """The tables of one definition; none where the sweep has nothing to show."""
    try:
        return list(EXHIBITS[id].draw(evidence).tables)
    except NothingToDraw:
        return []


def cells(table: Table) -> dict[tuple[str, ...], dict[str, str]]:
    """The texts by the labels of rows, and by columns."""
    return {
        row.labels: {column.full_name: cell.text for column, cell in zip(table.columns, row.cells, strict=True)}
        for row in table.rows
    }


def drawing(drawn: Drawn) -> str:
    """Return figures of lines with all of their points, and the tables beside them, as text."""
    texts = []
    for figure in drawn.figures:
        texts += [f"{figure.label}: {figure.caption}", f"x: {figure.x_label}"]
        for panel in figure.panels:
            texts.append(f"{panel.title}: {', '.join(tick.label for tick in panel.ticks)}".replace("\n", " / "))
            for line in panel.lines:
                points = [
                    f"{one.x:g}: {one.value:.6g} [{one.low:g}, {one.high:g}]{' hollow' * one.hollow}"
                    for one in line.points
                ]
                texts.append(f"  {line.label}: {'; '.join(points)}")
            texts += [f"  level {level.label}: {level.value:.6g}" for level in panel.levels]
            texts += [f"  {note}" for note in panel.notes]
    return "\n".join([*texts, *map(to_markdown, drawn.tables)])
