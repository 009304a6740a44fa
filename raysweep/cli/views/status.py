"""Prints the state of a sweep: each cell's state, errors and models, or one cell with its log."""

from __future__ import annotations

import dataclasses
import io
import json
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from raysweep.accelerators import NO_LABEL
from raysweep.cli.views.console import new_console
from raysweep.cli.views.progress import Display, overview
from raysweep.cli.views.results import by_error, print_json
from raysweep.config.grid import test_set_name
from raysweep.engine.progress import DONE, FAILED, NOTE, RUNNING, STOPPED, WAITING, Activity
from raysweep.engine.time_left import TimeLeft
from raysweep.errors import UnknownName
from raysweep.records import BASE
from raysweep.storage.artefacts import folder_of
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridArtefact, GridRow
from raysweep.units import count, duration, hours

WATCH_SECONDS = 2.0
START_SECONDS, START_LOOK_SECONDS = 30.0, 0.5
"""How long `--watch` waits for a sweep that is about to start, and between two looks."""
LISTED = 48
"""Most cells that are listed one by one. Of more, those at work, failed and stopped are, below a summary."""
STATES = (WAITING, RUNNING, DONE, STOPPED, FAILED)
SILENT_SECONDS = 60
"""A running activity without news for so long is shown with the time since its last news."""

_FULL = """\
  from transformers import AutoModelForCausalLM, AutoTokenizer
  model, tokenizer = AutoModelForCausalLM.from_pretrained("PATH"), AutoTokenizer.from_pretrained("PATH")
  print(tokenizer.decode(model.generate(**tokenizer("def ", return_tensors="pt"), max_new_tokens=64)[0]))"""
_FETCH = """\
  import os, pyarrow.fs
  os.makedirs("PATH")
  pyarrow.fs.copy_files("URI", "PATH")"""
_ADAPTER = """\
  from peft import PeftModel
  from transformers import AutoModelForCausalLM, AutoTokenizer
  model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("BASE"), "PATH")
  tokenizer = AutoTokenizer.from_pretrained("PATH")
  print(tokenizer.decode(model.generate(**tokenizer("def ", return_tensors="pt"), max_new_tokens=64)[0]))"""
DROPPED_TEXT = "weights dropped once all pairs were judged (keep_models: adapters); a new test set trains them again"
_STYLES = {FAILED: "red", STOPPED: "yellow", RUNNING: "cyan"}


@dataclass(frozen=True)
class CellStatus:
    """One cell. `done` of `pairs` evaluation pairs have results; `amount`: of a stage, as text."""

    cell: str
    state: str  # waiting | running | done | failed | stopped
    amount: str
    error: str
    done: int
    pairs: int
    model: str  # its folder, "" if the store lacks it
    base: str  # the base of an adapter: a cell of this sweep, a folder or a hub id; "" for full weights
    dropped: bool = False  # its weights were dropped, since the sweep's `keep_models` is `adapters`
    group: str = ""  # its model and recipe


@dataclass(frozen=True)
class SharedStatus:
    """An input that several cells share and that the store lacks."""

    id: str
    state: str
    amount: str
    error: str


def print_status(folder: SweepFolder, as_json: bool) -> None:
    """Print each cell's state, shared inputs that are not done, errors, and the models' folders."""
    cells = cell_states(folder)
    shared = shared_states(folder, cells)
    if as_json:
        rows = [dataclasses.asdict(cell) for cell in cells]
        inputs = [dataclasses.asdict(item) for item in shared]
        used = folder.ledger().by_accelerator()
        print_json({"sweep": folder.name, "cells": rows, "shared": inputs, "gpu_hours": used, "runs": folder.runs()})
        return
    console = new_console()
    _print_table(cells, shared, console)
    if used := folder.ledger().by_accelerator():
        parts = ", ".join(f"{hours(each)} of {name or NO_LABEL}" for name, each in used.items())
        console.print(f"GPU-hours used: {parts}", soft_wrap=True)
    _print_models([cell for cell in cells if cell.model], console)
    if dropped := [cell.cell for cell in cells if cell.dropped]:
        console.print(f"\n{DROPPED_TEXT}:\n  {', '.join(dropped)}", soft_wrap=True)


def watch_status(folder: SweepFolder) -> None:
    """Show a sweep's state until no process runs it: in place on a terminal, in a log whenever it changes.

    A sweep that is about to start is waited for, for `START_SECONDS`.
    """
    console, shown, left = new_console(), "", None
    with Display(console) as display:
        _await_start(folder, display)
        while folder.is_running():
            activities, cells = folder.activities(), cell_states(folder)
            wanted = list(dict.fromkeys([*(cell.cell for cell in cells), *activities]))
            left = left or TimeLeft(wanted)
            left.look(activities, time.monotonic())
            done = {cell.cell: Activity(cell.cell, DONE) for cell in cells if cell.state == DONE}
            counts = overview({**activities, **done}, wanted, left.seconds())
            page = Console(file=io.StringIO(), markup=False, highlight=False, width=console.width)
            _print_table(cells, shared_states(folder, cells), page)
            table = page.file.getvalue()  # type: ignore[attr-defined]
            head = f"{counts.share:.0%}: {counts.words}"
            display.picture(Text(f"{table}{head}"))
            if table != shown:
                display.line(f"{time.strftime('%H:%M:%S')} {head}\n{table.rstrip()}")
            shown = table
            time.sleep(WATCH_SECONDS)
    print_status(folder, as_json=False)


def _await_start(folder: SweepFolder, display: Display) -> None:
    """Wait until a process runs the sweep, if the store has no such sweep yet or has cells that never began.

    Raises:
        UsageError: after `START_SECONDS` there is still no such sweep.
    """
    last = time.monotonic() + START_SECONDS
    if _is_about_to_start(folder):
        text = f"no process runs {folder.name} yet; waiting for one, for up to {duration(START_SECONDS)}"
        display.line(text)
        display.picture(Text(text))
    while _is_about_to_start(folder) and time.monotonic() < last:
        time.sleep(START_LOOK_SECONDS)
    folder.require()


def _is_about_to_start(folder: SweepFolder) -> bool:
    if not folder.exists():
        return True
    folder.require()
    return not folder.is_running() and any(cell.state == WAITING for cell in cell_states(folder))


def _print_table(cells: Sequence[CellStatus], shared: Sequence[SharedStatus], console: Console) -> None:
    listed = list(cells)
    if len(cells) > LISTED:
        console.print(_summary(cells))
        listed = [cell for cell in cells if cell.state not in (DONE, WAITING)]
    table = Table(*(Column(name, overflow="fold") for name in ("cell", "state", "pairs")), box=None)
    for cell in listed[:LISTED]:
        table.add_row(cell.cell, _state(cell), f"{cell.done} of {cell.pairs}")
    if len(listed) > LISTED:
        table.add_row(f"and {len(listed) - LISTED:,} more", "", "")
    for item in shared:
        table.add_row(item.id, _state(item), "")
    if table.row_count:
        console.print(table)
    errors = {cell.cell: cell.error for cell in cells} | {item.id: item.error for item in shared}
    for error, names in by_error({name: error for name, error in errors.items() if error}).items():
        more = f" and {count(len(names) - LISTED, 'other')}" if len(names) > LISTED else ""
        console.print(f"failed: {', '.join(names[:LISTED])}{more}: {error}", style="red", soft_wrap=True)


def _summary(cells: Sequence[CellStatus]) -> Table:
    """Return a table with a row for the cells of each model and recipe."""
    groups: dict[str, list[CellStatus]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    there = [state for state in STATES if any(cell.state == state for cell in cells)]
    table = Table(Column("models", overflow="fold"), box=None)
    for name in ("cells", *there, "pairs"):
        table.add_column(name, justify="right")
    for group, own in groups.items():
        numbers = Counter(cell.state for cell in own)
        pairs = f"{sum(cell.done for cell in own):,} of {sum(cell.pairs for cell in own):,}"
        table.add_row(group, f"{len(own):,}", *(f"{numbers[state]:,}" for state in there), pairs)
    return table


def cell_states(folder: SweepFolder, shown: str = "") -> list[CellStatus]:
    """Return the state of every cell of a sweep, from the store and the progress files.

    Of more than `LISTED` models, only the files of the cell that is shown are looked at; of the others, that they were
    once written.
    """
    activities, cells = folder.activities(), folder.grid_by_cell()
    keys = {"results": [key for _, results in cells.values() for key in results]}
    for first, _ in cells.values():
        if first.model_stage:
            keys.setdefault(first.model_stage, []).append(first.model_key)
    made = {key for stage, own in keys.items() for key in folder.store.with_manifest(stage, own)}
    for name, (first, _) in cells.items():  # a model whose folder is printed is looked at whole, which takes 0.3 ms
        is_shown = len(cells) <= LISTED or name == shown
        if is_shown and first.weights and first.model_key in made and not folder.store.has(first.weights):
            made.discard(first.model_key)
    found = [
        _cell_state(folder, first, results, activities.get(name, Activity(name)), made)
        for name, (first, results) in cells.items()
    ]
    stored = {cell.cell for cell in found if cell.model}
    bases = {name: f"{first.model}.{BASE}" for name, (first, _) in cells.items()}
    return [
        dataclasses.replace(cell, base=bases[cell.cell]) if cell.base and bases[cell.cell] in stored else cell
        for cell in found
    ]


def shared_states(folder: SweepFolder, cells: Sequence[CellStatus]) -> list[SharedStatus]:
    """Return the shared inputs that failed, stopped or are being made: activities that are no cell."""
    names = {cell.cell for cell in cells}
    return [
        SharedStatus(activity.id, activity.state, _amount(activity), activity.error)
        for activity in folder.activities().values()
        if activity.id not in names and activity.state not in (DONE, WAITING)
    ]


def _cell_state(
    folder: SweepFolder, first: GridRow, results: Sequence[str], activity: Activity, made: Collection[str]
) -> CellStatus:
    """Return the state of a cell with this first pair and these keys of results."""
    done = sum(key in made for key in results)
    weights = first.weights if first.model_key in made else None
    if done == len(results):
        activity = Activity(first.cell, DONE)
    elif activity.state == DONE:  # of an earlier run: its results are gone, or the config has more pairs now
        activity = Activity(first.cell)
    model = folder.store.folder(weights) if weights else ""
    base = _base_of(folder, weights) if weights else ""
    dropped = bool(weights is None and first.weights and done and folder.store.is_dropped(first.weights))
    amount, pairs = _amount(activity), len(results)
    recipe = f"recipe {first.recipe}" if first.weights and first.training_set != BASE else "not fine-tuned"
    group = f"{first.model}, {recipe}"
    return CellStatus(first.cell, activity.state, amount, activity.error, done, pairs, model, base, dropped, group)


def _base_of(folder: SweepFolder, weights: GridArtefact) -> str:
    """Return the base that an adapter names, a folder (which may have moved since) or a hub id; else ""."""
    config = folder.store.files.read(f"{folder_of(weights)}/adapter_config.json")
    return str(json.loads(config)["base_model_name_or_path"]) if config else ""


def _amount(activity: Activity) -> str:
    if activity.state not in (RUNNING, STOPPED):
        return ""
    if activity.waits and activity.state == RUNNING:
        return f"waits for {activity.waits}"
    silent = time.time() - activity.updated
    news = f", no news for {duration(silent)}" if activity.state == RUNNING and silent > SILENT_SECONDS else ""
    amount = f" {activity.done:,}/{activity.total:,}" if activity.total else ""
    again = f", attempt {activity.attempt}" if activity.attempt > 1 else ""
    return f"{activity.stage}{amount}{again}{news}"


def _state(item: CellStatus | SharedStatus) -> Text:
    amount = f" ({item.amount})" if item.amount else ""
    return Text(f"{item.state}{amount}", style=_STYLES.get(item.state, ""))


def _print_models(cells: Sequence[CellStatus], console: Console) -> None:
    """Print every model's path on its own line, uncut, then the code that loads each kind of model."""
    if cells:
        console.print()
    if len(cells) > LISTED:
        console.print(f"folders of {len(cells):,} models: --cell ID shows one, --json all of them", soft_wrap=True)
        return
    if any("://" in cell.model for cell in cells):
        console.print(f"bring a model to this machine, into PATH, first:\n{_FETCH}\n", soft_wrap=True)
    for cell in cells:
        over = f" (adapter, BASE: {cell.base})" if cell.base else ""
        console.print(f"{cell.cell}{over}\n  {cell.model}", soft_wrap=True)
    if any(not cell.base for cell in cells):
        console.print(f"\nload full weights and generate:\n{_FULL}", soft_wrap=True)
    if any(cell.base for cell in cells):
        console.print(
            f"\nload an adapter and generate, BASE being its base model's path or id:\n{_ADAPTER}", soft_wrap=True
        )


@dataclass(frozen=True)
class PairStatus:
    """One evaluation pair: whether its results exist, and the keys of its artefacts."""

    problem_set: str
    perturbation: str
    draw: int  # of the test set
    done: bool
    completions: str
    results: str


@dataclass(frozen=True)
class CellDetail:
    """The state of one cell or shared input. `activity.detail` has loss and learning rate while it trains."""

    status: CellStatus | None  # None for a shared input
    activity: Activity
    pairs: tuple[PairStatus, ...]


def print_cell(folder: SweepFolder, name: str, as_json: bool) -> None:
    """Print the details of a cell or shared input; raise UnknownName if the sweep has none of that id."""
    found = cell_detail(folder, name)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    console = new_console()
    facts = Table.grid(padding=(0, 2))
    for label, text in _facts(found):
        facts.add_row(Text(label, style="bold"), Text(text))
    console.print(facts, soft_wrap=True)
    if found.activity.tail:
        console.print("log:")
    for line in found.activity.tail:
        console.print(f"  {line}", style="yellow" if f" {NOTE}" in line else "", soft_wrap=True)


def cell_detail(folder: SweepFolder, name: str) -> CellDetail:
    """Return the details of a cell or shared input; raise UnknownName if the sweep has none of that id."""
    cells = {cell.cell: cell for cell in cell_states(folder, name)}
    activities = folder.activities()
    if name not in cells and name not in activities:
        raise UnknownName("cell", name, {*cells, *activities})
    rows = [row for row in folder.grid() if row.cell == name]
    activity = activities.get(name, Activity(name))
    return CellDetail(cells.get(name), activity, tuple(_pair(folder, row) for row in rows))


def _pair(folder: SweepFolder, row: GridRow) -> PairStatus:
    done = folder.store.has(row.results)
    return PairStatus(row.problem_set, row.perturbation, row.test_draw, done, row.completions_key, row.results_key)


def _facts(found: CellDetail) -> list[tuple[str, str]]:
    activity, status = found.activity, found.status
    facts = [("cell", activity.id), ("state", status.state if status else activity.state)]
    if activity.stage:
        facts.append(("stage", activity.amount))
    if activity.training and activity.training not in activity.amount:
        facts.append(("training", activity.training))
    if activity.waits:
        facts.append(("waits for", activity.waits))
    if activity.attempt > 1:
        facts.append(("attempt", str(activity.attempt)))
    if activity.updated:
        begun = f", begun {duration(time.time() - activity.started)} ago" if activity.started else ""
        facts.append(("last news", f"{duration(time.time() - activity.updated)} ago{begun}"))
    if activity.error:
        facts.append(("error", activity.error))
    if status is not None:
        facts.append(("pairs", f"{status.done} of {status.pairs}"))
    missing = [test_set_name(pair.problem_set, pair.perturbation, pair.draw) for pair in found.pairs if not pair.done]
    if missing:
        facts.append(("missing", ", ".join(missing)))
    if status is not None and (status.model or status.dropped):
        facts.append(("model", status.model or DROPPED_TEXT))
    return facts
