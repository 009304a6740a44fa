"""Prints the scores of a sweep, its training and test sets, and JSON."""

from __future__ import annotations

import dataclasses

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from raysweep.cli.views.console import new_console, print_json
from raysweep.cli.views.progress import watching
from raysweep.planning.models import prompt_lines
from raysweep.sweep.data_sets import DataSets
from raysweep.sweep.overview.scores import ScoreTable, reference_lines, score_tables, zero_lines
from raysweep.sweep.overview.status import by_error
from raysweep.sweep.report.notes import limit_text
from raysweep.sweep.report.records import answer_facts, generation_facts
from raysweep.sweep.run import SweepResult
from raysweep.sweep.tasks import Watch


def watcher(quiet: bool) -> Watch:
    return watching(new_console(stderr=True), quiet)


def print_result(result: SweepResult, as_json: bool) -> None:
    if as_json:
        rows = [dataclasses.asdict(score) for score in result.scores]
        errors = dict(result.errors)
        print_json({"sweep": result.folder.name, "report": str(result.report), "errors": errors, "scores": rows})
        return
    console = new_console()
    if limit := limit_text(result.config):
        console.print(f"limited run: {limit}", soft_wrap=True)
    for table in score_tables(result.scores, result.config):
        print_scores(table, console)
    for line in [*prompt_lines(result.config), *zero_lines(result), *reference_lines(result)]:
        console.print(line, soft_wrap=True)
    if leakage := result.folder.leakage():
        console.print(f"leakage: {leakage}", soft_wrap=True)
    for error, names in by_error(result.errors).items():
        console.print(f"failed: {', '.join(names)}: {error}", style="red", soft_wrap=True)
    facts = [*answer_facts(result.folder), *generation_facts(result.folder)] if result.cells_run else []
    for label, text in facts:
        console.print(f"{label}: {text}", soft_wrap=True)
    if not result.cells_run:
        console.print("nothing was missing in the store: no work was done")
    console.print(f"report: {result.report}", soft_wrap=True)


def print_data_sets(made: DataSets, as_json: bool) -> None:
    rows = [dataclasses.asdict(data_set) | {"folder": made.store.folder(data_set.node)} for data_set in made.sets]
    if as_json:
        print_json(
            {"sets": [{k: v for k, v in row.items() if k != "node"} for row in rows], "errors": dict(made.errors)}
        )
        return
    console = new_console()
    table = Table(box=None, pad_edge=False)
    table.add_column("set")
    for name in ("rows", "perturbed", "unchanged", "not compiling"):
        table.add_column(name, justify="right")
    for data_set in made.sets:
        numbers = (data_set.rows, data_set.perturbed, data_set.unchanged, data_set.broken)
        table.add_row(data_set.name, *(f"{number:,}" for number in numbers))
    console.print(table)
    if made.leakage:
        console.print(f"leakage: {made.leakage}", soft_wrap=True)
    for name, error in made.errors.items():
        console.print(f"failed: {name}: {error}", style="red", soft_wrap=True)


def print_scores(table: ScoreTable, console: Console) -> None:
    console.print(table.title, style="italic", soft_wrap=True)
    _print_numbers(table, console)
    for note in table.notes:
        console.print(note, style="dim", soft_wrap=True)


def _print_numbers(table: ScoreTable, console: Console) -> None:
    for between in (" ", "\n"):
        grid = _grid(table, between)
        unbounded = console.options.update(width=10_000)
        if Measurement.get(console, unbounded, grid).maximum <= console.width:
            console.print(grid)
            return
    for labels, cells in table.rows:
        console.print(" ".join(labels), soft_wrap=True)
        for name, cell in zip(table.columns, cells, strict=True):
            console.print(f"  {name} {cell}", soft_wrap=True)


def _grid(table: ScoreTable, between: str) -> Table:
    labels = ("model", "recipe", "trained on", "seed")
    grid = Table(*labels, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in table.columns:
        grid.add_column(name, justify="right", no_wrap=True)
    for model, cells in table.rows:
        grid.add_row(*model, *(cell.replace(" ", between) for cell in cells))
    return grid
