"""Prints the scores of a sweep, and what an export of its results has written."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from raysweep.cli.exit import log_to_stderr
from raysweep.cli.views.console import new_console, print_json, shortened
from raysweep.cli.views.progress import watching
from raysweep.planning.models import prompt_lines
from raysweep.sweep.overview.scores import ScoreTable, reference_lines, score_tables, zero_lines
from raysweep.sweep.overview.status import by_error
from raysweep.sweep.report.notes import limit_text
from raysweep.sweep.report.records import answer_facts, generation_facts, problem_facts
from raysweep.sweep.run import SweepResult
from raysweep.sweep.tasks import Watch
from raysweep.units import count, first_of, size

if TYPE_CHECKING:
    from raysweep.sweep.export.formats import Exported
    from raysweep.sweep.export.push import Push


def watcher(quiet: bool) -> Watch:
    """Return what shows a sweep's progress; `quiet`: nothing, and only errors are logged from now on."""
    if quiet:
        log_to_stderr(logging.ERROR)
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
        console.print(shortened(f"failed: {first_of(names, 'task')}: {error}"), style="red", soft_wrap=True)
    facts = [*answer_facts(result.folder), *generation_facts(result.folder)] if result.cells_run else []
    for label, text in [*problem_facts(result.folder), *facts]:
        console.print(f"{label}: {text}", soft_wrap=True)
    if not result.cells_run:
        console.print("nothing was missing in the store: no work was done")
    console.print(f"report: {result.report}", soft_wrap=True)


def print_exported(done: Exported, as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(done.folder), "files": list(done.files), "notes": list(done.notes)})
        return
    console = new_console()
    for note in done.notes:
        console.print(f"note: {note}", soft_wrap=True)
    console.print(f"wrote {count(len(done.files), 'file')} to {done.folder}", soft_wrap=True)


def print_push(push: Push, as_json: bool) -> None:
    """Print what would be sent to the hub, with its card, or what was."""
    sizes = push.sizes()
    if as_json:
        shown = {"repository": push.repo, "private": push.private, "url": push.url, "files": sizes, "card": push.card}
        print_json({**shown, "notes": list(push.notes)})
        return
    console = new_console()
    for note in push.notes:
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    what = f"{count(len(sizes), 'file')}, {size(sum(sizes.values()))}"
    if push.url:
        console.print(f"sent {what}: {push.url}", soft_wrap=True)
        return
    for name, bytes_ in sizes.items():
        console.print(f"  {size(bytes_):>9}  {name}", soft_wrap=True, markup=False, highlight=False)
    console.print(f"\n{push.card}", soft_wrap=True, markup=False, highlight=False)
    kind = "private" if push.private else "public"
    console.print(f"nothing was sent; --send sends {what}, to the {kind} repository {push.repo}", soft_wrap=True)


def print_scores(table: ScoreTable, console: Console) -> None:
    console.print(table.title, style="italic", soft_wrap=True)
    _print_numbers(table, console)
    for note in table.notes:
        console.print(note, style="dim", soft_wrap=True)


def _print_numbers(table: ScoreTable, console: Console) -> None:
    for between in (" ", "\n"):
        grid = Table("model", "recipe", "trained on", "seed", box=None, padding=(0, 1, 0, 0), pad_edge=False)
        for name in table.columns:
            grid.add_column(name, justify="right", no_wrap=True)
        for model, cells in table.rows:
            grid.add_row(*model, *(cell.replace(" ", between) for cell in cells))
        unbounded = console.options.update(width=10_000)
        if Measurement.get(console, unbounded, grid).maximum <= console.width:
            console.print(grid)
            return
    for labels, cells in table.rows:
        console.print(" ".join(labels), soft_wrap=True)
        for name, cell in zip(table.columns, cells, strict=True):
            console.print(f"  {name} {cell}", soft_wrap=True)
