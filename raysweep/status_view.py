"""What `raysweep status` prints: how far each cell is, what failed, where each model lies and how it is loaded."""

from __future__ import annotations

import dataclasses
import io
import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from raysweep import terminal
from raysweep.grid import BASE
from raysweep.grid_rows import GridRow, Held
from raysweep.progress import DONE, FAILED, RUNNING, STOPPED, WAITING, Activity
from raysweep.show import print_json
from raysweep.storage.artefacts import folder_of
from raysweep.sweep_folder import SweepFolder
from raysweep.terminal import duration

WATCH_SECONDS = 2.0
SILENT_SECONDS = 60
"""After so long without news a running activity is told with the time since."""

_FULL = """\
  from transformers import AutoModelForCausalLM, AutoTokenizer
  model = AutoModelForCausalLM.from_pretrained("PATH")
  tokenizer = AutoTokenizer.from_pretrained("PATH")"""
_FETCH = """\
  import os, pyarrow.fs
  os.makedirs("PATH")
  pyarrow.fs.copy_files("URI", "PATH")"""
_ADAPTER = """\
  from peft import PeftModel
  model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("BASE"), "PATH")"""
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
    model: str  # its folder, "" where it is not in the store
    base: str  # what an adapter applies to: a cell of this sweep, or a folder or hub id; "" for full weights


@dataclass(frozen=True)
class SharedStatus:
    """An input that cells share and that isn't made."""

    id: str
    state: str
    amount: str
    error: str


def print_status(folder: SweepFolder, as_json: bool) -> None:
    """Print each cell's state, shared inputs that are not done, errors, and where the models lie."""
    cells = cell_states(folder)
    shared = shared_states(folder, cells)
    if as_json:
        rows = [dataclasses.asdict(cell) for cell in cells]
        inputs = [dataclasses.asdict(item) for item in shared]
        print_json({"sweep": folder.name, "cells": rows, "shared": inputs, "runs": folder.runs()})
        return
    console = terminal.console()
    _print_table(cells, shared, console)
    _print_models([cell for cell in cells if cell.model], console)


def watch_status(folder: SweepFolder) -> None:
    """Show a sweep's state until no process runs it any more: in place on a terminal, else whenever it changes."""
    console = terminal.console()
    shown = ""
    with Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else nullcontext() as live:
        while folder.is_running():
            cells = cell_states(folder)
            page = Console(file=io.StringIO(), markup=False, highlight=False, width=console.width)
            _print_table(cells, shared_states(folder, cells), page)
            text = page.file.getvalue()  # type: ignore[attr-defined]
            if live is not None:
                live.update(Text(text), refresh=True)
            elif text != shown:
                shown = text
                print(f"{time.strftime('%H:%M:%S')}\n{shown}", end="", flush=True)
            time.sleep(WATCH_SECONDS)
    print_status(folder, as_json=False)


def _print_table(cells: Sequence[CellStatus], shared: Sequence[SharedStatus], console: Console) -> None:
    table = Table(*(Column(name, overflow="fold") for name in ("cell", "state", "pairs")), box=None)
    for cell in cells:
        table.add_row(cell.cell, _state(cell), f"{cell.done} of {cell.pairs}")
    for item in shared:
        table.add_row(item.id, _state(item), "")
    console.print(table)
    for name, error in [(c.cell, c.error) for c in cells] + [(s.id, s.error) for s in shared]:
        if error:
            console.print(f"failed: {name}: {error}", style="red", soft_wrap=True)


def cell_states(folder: SweepFolder) -> list[CellStatus]:
    """Return the state of every cell of a sweep, from the store and the progress files."""
    activities = folder.activities()
    cells: dict[str, list[GridRow]] = {}
    for row in folder.grid():
        cells.setdefault(row.cell, []).append(row)
    folder.store.survey(row.results for rows in cells.values() for row in rows)
    found = [_cell_state(folder, rows, activities.get(name, Activity(name))) for name, rows in cells.items()]
    stored = {cell.cell for cell in found if cell.model}
    bases = {name: f"{rows[0].model}.{BASE}" for name, rows in cells.items()}
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


def _cell_state(folder: SweepFolder, rows: Sequence[GridRow], activity: Activity) -> CellStatus:
    first, done = rows[0], sum(folder.store.has(row.results) for row in rows)
    weights = first.weights if first.weights and folder.store.has(first.weights) else None
    if done == len(rows):
        activity = Activity(first.cell, DONE)
    elif activity.state == DONE:  # of an earlier run: what it made is gone, or more is asked now
        activity = Activity(first.cell)
    model = folder.store.folder(weights) if weights else ""
    base = _base_of(folder, weights) if weights else ""
    return CellStatus(first.cell, activity.state, _amount(activity), activity.error, done, len(rows), model, base)


def _base_of(folder: SweepFolder, weights: Held) -> str:
    """Return what an adapter names as its base: a folder, which may have moved since, or a hub id; else ""."""
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
    """Print every model's path on a line of its own, whole, then how to load a model of each kind that is there."""
    if cells:
        console.print()
    if any("://" in cell.model for cell in cells):
        console.print(f"bring a model to this machine, into PATH, first:\n{_FETCH}\n", soft_wrap=True)
    for cell in cells:
        over = f" (adapter, BASE: {cell.base})" if cell.base else ""
        console.print(f"{cell.cell}{over}\n  {cell.model}", soft_wrap=True)
    if any(not cell.base for cell in cells):
        console.print(f"\nload full weights:\n{_FULL}", soft_wrap=True)
    if any(cell.base for cell in cells):
        console.print(f"\nload an adapter, BASE being its base model's path or id:\n{_ADAPTER}", soft_wrap=True)
