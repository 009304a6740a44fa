"""What `raysweep status SWEEP --cell ID` prints: one cell, or shared input, with how far it is and what happened."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from raysweep import terminal
from raysweep.errors import UnknownName
from raysweep.grid import test_set_name
from raysweep.grid_rows import GridRow
from raysweep.progress import NOTE, Activity
from raysweep.show import print_json
from raysweep.status_view import CellStatus, cell_states
from raysweep.sweep_folder import SweepFolder
from raysweep.terminal import duration


@dataclass(frozen=True)
class PairStatus:
    """One evaluation pair: whether its results are there, and the keys of what was made for it."""

    problem_set: str
    perturbation: str
    draw: int  # of the test set
    done: bool
    completions: str
    results: str


@dataclass(frozen=True)
class CellDetail:
    """Everything that is known of one cell. `activity.detail` holds loss and learning rate while it trains."""

    status: CellStatus | None  # None for a shared input
    activity: Activity
    pairs: tuple[PairStatus, ...]


def print_cell(folder: SweepFolder, name: str, as_json: bool) -> None:
    """Print what is known of one cell; raise UnknownName when the sweep has no such cell or shared input."""
    found = cell_detail(folder, name)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    console = terminal.console()
    facts = Table.grid(padding=(0, 2))
    for label, text in _facts(found):
        facts.add_row(Text(label, style="bold"), Text(text))
    console.print(facts, soft_wrap=True)
    if found.activity.tail:
        console.print("log:")
    for line in found.activity.tail:
        console.print(f"  {line}", style="yellow" if f" {NOTE}" in line else "", soft_wrap=True)


def cell_detail(folder: SweepFolder, name: str) -> CellDetail:
    """Return what is known of a cell or a shared input; raise UnknownName when there is none of that id."""
    cells = {cell.cell: cell for cell in cell_states(folder)}
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
    if status is not None and status.model:
        facts.append(("model", status.model))
    return facts
