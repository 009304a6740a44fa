"""The state of each cell of a sweep, and of the inputs that its cells share."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysweep.engine.progress import DONE, RUNNING, STOPPED, WAITING, Activity, read_end, silence
from raysweep.records import BASE
from raysweep.storage.artefacts import folder_of
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import CandidateRow, GridArtefact, GridRow, end_of
from raysweep.sweep.summary import FullCell, read_summary, times_of, write_summary

if TYPE_CHECKING:
    import pandas

log = logging.getLogger("raysweep")

ENDED_EARLY = "ended"
"""The state of a cell that has no results and needs none, see `raysweep.planning.missing.end_of`."""
LISTED = 48
"""Most cells that are listed one by one. Of more, those at work, failed and stopped are, below a summary."""


@dataclass(frozen=True)
class CellStatus:
    """One cell. `done` of `pairs` evaluation pairs have results; `amount`: of a stage, as text."""

    cell: str
    state: str  # waiting | running | done | ended | failed | stopped
    amount: str
    error: str
    done: int
    pairs: int
    model: str  # its folder, "" if the store lacks it
    base: str  # the base of an adapter: a cell of this sweep, a folder or a hub id; "" for full weights
    dropped: bool = False  # its weights were dropped, since the sweep's `keep_models` is `adapters`
    group: str = ""  # its model and recipe
    chosen_for: str = ""  # the cell that is evaluated with one of several models, of which this cell trains one
    is_chosen: bool = False  # its model is the one
    ended: str = ""  # why it has no results, though nothing failed: no edit example, or an edit not reproduced
    edited: bool = False  # its model is changed tensors of `base` (delta.safetensors)


@dataclass(frozen=True)
class GroupStatus:
    """The cells of one model and recipe, counted. `states`: cells by state; `done` of `pairs` pairs have results."""

    name: str
    cells: int
    states: Mapping[str, int]
    done: int
    pairs: int


@dataclass(frozen=True)
class SharedStatus:
    """An input that several cells share and that the store lacks."""

    id: str
    state: str
    amount: str
    error: str


@dataclass(frozen=True)
class SweepStatus:
    """The state of a sweep."""

    sweep: str
    cells: tuple[CellStatus, ...]
    shared: tuple[SharedStatus, ...]  # inputs of several cells that failed, stopped or are being made
    gpu_hours: Mapping[str, float]  # used, by type of accelerator
    runs: tuple[Mapping[str, Any], ...]  # oldest first
    cpu_capabilities: Mapping[str, int] | None = None  # of `SweepFolder`; None for more than `LISTED` cells
    is_running: bool = False  # whether a process runs it
    last_end: str = ""  # how the last run ended, as `read_end` has it

    def frame(self) -> pandas.DataFrame:
        import pandas

        names = [field.name for field in dataclasses.fields(CellStatus)]
        return pandas.DataFrame([dataclasses.asdict(cell) for cell in self.cells], columns=names)


def sweep_status(folder: SweepFolder) -> SweepStatus:
    """Return the state of a sweep; raise StoreError if its ledger of GPU-hours is damaged."""
    cells = cell_states(folder)
    used = folder.ledger().by_accelerator()
    shared, runs = tuple(shared_states(folder, cells)), tuple(folder.runs())
    capabilities = folder.cpu_capabilities() if len(cells) <= LISTED else None
    is_running, last_end = folder.is_running(), read_end(folder.progress)
    return SweepStatus(folder.name, tuple(cells), shared, used, runs, capabilities, is_running, last_end)


def group_states(cells: Sequence[CellStatus]) -> list[GroupStatus]:
    groups: dict[str, list[CellStatus]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    return [
        GroupStatus(
            name,
            len(group),
            Counter(cell.state for cell in group),
            sum(cell.done for cell in group),
            sum(cell.pairs for cell in group),
        )
        for name, group in groups.items()
    ]


def warn_of_unfinished(folder: SweepFolder) -> None:
    """Log a warning if a sweep still runs, or if no report has written its numbers yet."""
    from raysweep.sweep.numbers import SCORES

    runs = folder.is_running()
    if runs or not (folder.path / SCORES).is_file():
        state = "still runs" if runs else "has no report yet"
        text = (
            "the sweep %r %s: `raysweep status %s` shows how far it is, `raysweep report %s` writes the numbers so far"
        )
        log.warning(text, folder.name, state, folder.name, folder.name)


def is_about_to_start(folder: SweepFolder) -> bool:
    """Return True if no process runs the sweep, and the store has none of it yet or has cells that never began.

    Raises:
        UsageError: the folder is no sweep's.
    """
    if not folder.exists():
        return True
    folder.require()
    return not folder.is_running() and any(cell.state == WAITING for cell in cell_states(folder))


def by_error(errors: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the failed cells and tasks by error, so that each error is shown once.

    A cell that didn't start names the task that failed, and that task's own line says why.
    """
    names: dict[str, list[str]] = {}
    for name, error in errors.items():
        text = error.removeprefix(f"{name}: ")
        head, failed, why = text.partition(" failed: ")
        if failed and errors.get(head.rpartition(" ")[2]) == why:
            text = f"{head} failed"
        names.setdefault(text, []).append(name)
    return names


def cell_states(folder: SweepFolder, shown: str = "") -> list[CellStatus]:
    """Return the state of every cell of a sweep, from the store and the progress files.

    Of more than `LISTED` models, only the files of the cell that is shown are looked at; of the others, that they were
    once written.
    """
    activities, candidates, times = folder.activities(), folder.candidates(), times_of(folder)
    known = None if candidates or shown else read_summary(folder)
    cells = _judged_cells(folder) if known is None else [_JudgedCell(one.first, one.pairs, one.pairs) for one in known]
    keys = {"model": [candidate.model_key for candidate in candidates]}
    for first in (cell.first for cell in cells):
        if first.model_stage:
            keys.setdefault(first.model_stage, []).append(first.model_key)
        if first.prompt_pair_key:
            keys.setdefault("prompt_pair", []).append(first.prompt_pair_key)
    keys_made = {key for stage, of_stage in keys.items() for key in folder.store.with_manifest(stage, of_stage)}
    for cell in cells:  # a model whose folder is printed is looked at whole, which takes 0.3 ms
        first, is_shown = cell.first, len(cells) <= LISTED or cell.first.cell == shown
        if is_shown and first.weights and first.model_key in keys_made and not folder.store.has(first.weights):
            keys_made.discard(first.model_key)
    bases_known = {one.first.model_key: one.base for one in known or () if one.base is not None}
    states = [
        _cell_state(folder, cell, activities.get(cell.first.cell, Activity(cell.first.cell)), keys_made, bases_known)
        for cell in cells
    ]
    if known is None and not candidates and len(cells) > LISTED and all(cell.done == cell.pairs for cell in cells):
        full = zip(cells, states, strict=True)
        write_summary(folder, times, (FullCell(cell.first, cell.pairs, _adapter_base(state)) for cell, state in full))
    chosen = {cell.first.cell: cell.first.model_key for cell in cells}
    states += [_candidate_state(folder, one, activities, keys_made, chosen[one.chosen_for]) for one in candidates]
    stored = {cell.cell for cell in states if cell.model}
    bases = {cell.first.cell: f"{cell.first.model}.{BASE}" for cell in cells}
    bases |= {candidate.cell: f"{candidate.model}.{BASE}" for candidate in candidates}
    return [
        dataclasses.replace(cell, base=bases[cell.cell]) if cell.base and bases[cell.cell] in stored else cell
        for cell in states
    ]


@dataclass(frozen=True)
class _JudgedCell:
    """The first pair of a cell. `done` of its `pairs` evaluation pairs have results."""

    first: GridRow
    pairs: int
    done: int


def _adapter_base(cell: CellStatus) -> str | None:
    if not cell.model:
        return None
    return "" if cell.edited else cell.base


def _judged_cells(folder: SweepFolder) -> list[_JudgedCell]:
    cells = folder.grid_by_cell().values()
    made = folder.store.with_manifest("results", [key for _, results in cells for key in results])
    return [_JudgedCell(first, len(results), sum(key in made for key in results)) for first, results in cells]


def base_of_adapter(folder: SweepFolder, weights: GridArtefact) -> str:
    """Return what an adapter in the store names: a folder (which may have moved since) or a hub id; else empty."""
    config = folder.store.files.read(f"{folder_of(weights)}/adapter_config.json")
    return str(json.loads(config)["base_model_name_or_path"]) if config else ""


def shared_states(folder: SweepFolder, cells: Sequence[CellStatus]) -> list[SharedStatus]:
    names = {cell.cell for cell in cells}
    return [
        SharedStatus(activity.id, activity.state, _amount(activity), activity.error)
        for activity in folder.activities().values()
        if activity.id not in names and activity.state not in (DONE, WAITING)
    ]


def _cell_state(
    folder: SweepFolder, cell: _JudgedCell, activity: Activity, made: Collection[str], bases: Mapping[str, str]
) -> CellStatus:
    """Return the state of a cell. `bases`: those that adapters name, as far as they are known, by the models' keys."""
    first, done, pairs = cell.first, cell.done, cell.pairs
    weights = first.weights if first.model_key in made else None
    ended = end_of(first, folder.store, made) if done < pairs else ""
    if ended:
        activity, weights = Activity(first.cell, ENDED_EARLY), None
    elif done == pairs:
        activity = Activity(first.cell, DONE)
    elif activity.state == DONE:  # of an earlier run: its results are gone, or the config has more pairs now
        activity = Activity(first.cell)
    model = folder.store.folder(weights) if weights else ""
    base = (bases[weights.key] if weights.key in bases else base_of_adapter(folder, weights)) if weights else ""
    edited = bool(weights and first.prompt_pair and not base)
    base = f"{first.model}.{BASE}" if edited else base
    dropped = bool(weights is None and first.weights and done and folder.store.is_dropped(first.weights))
    amount = _amount(activity)
    recipe = f"recipe {first.recipe}" if first.weights and first.training_set != BASE else "not fine-tuned"
    group = f"{first.model}, {recipe}"
    return CellStatus(
        first.cell,
        activity.state,
        amount,
        activity.error,
        done,
        pairs,
        model,
        base,
        dropped,
        group,
        ended=ended,
        edited=edited,
    )


def _candidate_state(
    folder: SweepFolder, row: CandidateRow, activities: Mapping[str, Activity], made: Collection[str], chosen: str
) -> CellStatus:
    """Return the state of a cell that only trains. `chosen`: key of the model that was chosen, or of the choice."""
    activity = activities.get(row.cell, Activity(row.cell))
    is_there = row.model_key in made
    dropped = not is_there and folder.store.is_dropped(row.weights)
    if is_there or (dropped and folder.store.has(row.selection)):
        activity = Activity(row.cell, DONE)
    elif activity.state == DONE:
        activity = Activity(row.cell)
    model = folder.store.folder(row.weights) if is_there else ""
    base = base_of_adapter(folder, row.weights) if is_there else ""
    return CellStatus(
        row.cell,
        activity.state,
        _amount(activity),
        activity.error,
        0,
        0,
        model,
        base,
        dropped,
        f"{row.model}, recipe {row.group}",
        chosen_for=row.chosen_for,
        is_chosen=row.model_key == chosen,
    )


def _amount(activity: Activity) -> str:
    if activity.state not in (RUNNING, STOPPED):
        return ""
    if activity.has_died and activity.state == RUNNING:
        return activity.death
    if activity.waits and activity.state == RUNNING:
        return f"waits for {activity.wait}"
    news = silence(time.time() - activity.updated) if activity.state == RUNNING else ""
    amount = f" {activity.done:,}/{activity.total:,}" if activity.total else ""
    again = f", attempt {activity.attempt}" if activity.attempt > 1 else ""
    return f"{activity.stage}{amount}{again}{news}"
