"""What commands print: tables with rich on stdout, or JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from raysweep import terminal
from raysweep.analysis.layout import Order
from raysweep.config import SweepConfig
from raysweep.data_sets import DataSets
from raysweep.records import Score
from raysweep.reporting import order_of
from raysweep.sweep import SweepResult
from raysweep.watching import Watcher


@dataclass(frozen=True)
class ScoreTable:
    """pass@k of models (model, recipe, training set, seed) on test sets, as text: ``0.812 (0.07)``, "" where none."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, str, str, str], tuple[str, ...]], ...]


def watcher(quiet: bool) -> Watcher:
    """Return what shows progress on stderr."""
    return Watcher(terminal.console(stderr=True), quiet)


def print_result(result: SweepResult, as_json: bool) -> None:
    """Print a run's scores, errors and where the report lies."""
    if as_json:
        rows = [dataclasses.asdict(score) for score in result.scores]
        errors = dict(result.errors)
        print_json({"sweep": result.folder.name, "report": str(result.report), "errors": errors, "scores": rows})
        return
    console = terminal.console()
    for table in score_tables(result.scores, result.config):
        print_scores(table, console)
    for name, error in result.errors.items():
        console.print(f"failed: {name}: {error}", style="red", soft_wrap=True)
    if not result.made:
        console.print("nothing was missing in the store: no work was done")
    console.print(f"report: {result.report}", soft_wrap=True)


def print_data_sets(made: DataSets, as_json: bool) -> None:
    """Print the sets that exist, with their rows and where they lie."""
    rows = [dataclasses.asdict(one) | {"folder": made.store.folder(one.node)} for one in made.sets]
    if as_json:
        print_json(
            {"sets": [{k: v for k, v in row.items() if k != "node"} for row in rows], "errors": dict(made.errors)}
        )
        return
    console = terminal.console()
    table = Table(box=None, pad_edge=False)
    table.add_column("set")
    for name in ("rows", "perturbed", "unchanged", "not compiling"):
        table.add_column(name, justify="right")
    for one in made.sets:
        table.add_row(one.name, f"{one.rows:,}", f"{one.perturbed:,}", f"{one.unchanged:,}", f"{one.broken:,}")
    console.print(table)
    if made.leakage:
        console.print(f"leakage: {made.leakage}", soft_wrap=True)
    for name, error in made.errors.items():
        console.print(f"failed: {name}: {error}", style="red", soft_wrap=True)


def score_tables(scores: Sequence[Score], config: SweepConfig) -> list[ScoreTable]:
    """Return a table a problem set and (robust) pass@k: models on test sets, RD beside, in the config's order."""
    order = order_of(config)
    models = sorted({_model(score) for score in scores}, key=lambda model: _place(model, order))
    found = []
    for problems in order.problem_sets:
        own = {(_model(s), s.perturbation, s.metric): s for s in scores if s.problem_set == problems}
        shown = {metric for _, _, metric in own if metric.startswith(("pass@", "RP_"))}
        for metric in sorted(shown, key=lambda name: (name.startswith("RP_"), name)):
            title = f"{problems}: {metric}"
            title += " (RD: share of clean pass@1 lost)" if metric == "pass@1" else ""
            title += " (robust: passes on all draws)" if metric.startswith("RP_") else ""
            rows = []
            for model in models:
                cells = [_number(own, model, name, metric) for name in order.perturbations]
                if any(cells):
                    rows.append(((model[0], model[1], model[2], str(model[3])), tuple(cells)))
            found.append(ScoreTable(title, order.perturbations, tuple(rows)))
    return found


def print_scores(table: ScoreTable, console: Console) -> None:
    """Print a table so that every number is whole: RD beside pass@1 or below it, else line by line."""
    for between in (" ", "\n"):
        grid = _grid(table, between)
        unbounded = console.options.update(width=10_000)
        if Measurement.get(console, unbounded, grid).maximum <= console.width:
            console.print(grid)
            return
    console.print(table.title, style="italic", soft_wrap=True)
    for labels, cells in table.rows:
        console.print(" ".join(labels), soft_wrap=True)
        for name, cell in zip(table.columns, cells, strict=True):
            console.print(f"  {name} {cell}", soft_wrap=True)


def _model(score: Score) -> tuple[str, str, str, int]:
    return (score.model, score.recipe, score.training_set, score.seed)


def _place(model: tuple[str, str, str, int], order: Order) -> tuple[int, str, int, int]:
    """Return a sort key: the config's order of models, then recipes, then the config's order of training sets."""
    name, recipe, training_set, seed = model
    base = training_set == "base"
    return (order.models.index(name), "" if base else recipe, order.training_sets.index(training_set), seed)


def _number(scores: Mapping[Any, Score], model: tuple[Any, ...], perturbation: str, metric: str) -> str:
    found = scores.get((model, perturbation, metric))
    if found is None:
        return ""
    degraded = scores.get((model, perturbation, "RD"))
    text = "undefined" if math.isnan(found.value) else f"{found.value:.3f}"
    own = (
        ""
        if degraded is None or metric != "pass@1"
        else f" ({'–' if math.isnan(degraded.value) else f'{degraded.value:.2f}'})"
    )
    return text + own


def _state(exists: bool) -> str:
    return "exists" if exists else "to train"


def print_json(value: Any) -> None:
    """Print JSON that every parser reads: NaN becomes null."""
    print(json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False))


def _grid(table: ScoreTable, between: str) -> Table:
    """Return the rich table; `between` stands between pass@1 and RD."""
    labels = ("model", "recipe", "trained on", "seed")
    grid = Table(*labels, title=table.title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in table.columns:
        grid.add_column(name, justify="right", no_wrap=True)
    for model, cells in table.rows:
        grid.add_row(*model, *(cell.replace(" ", between) for cell in cells))
    return grid


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
