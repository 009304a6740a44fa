"""Prints what no sweep of a store uses: by kind with number and size, what is left out and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

from raysweep.cli.views.console import new_console, print_json
from raysweep.storage.store import Store
from raysweep.sweep.gc import Removal, Survey, Unused, sums_by_kind, total_bytes
from raysweep.units import count, size


def print_gc(result: Survey | Removal, store: Store, as_json: bool) -> None:
    if isinstance(result, Removal):
        _print_removal(result, store, as_json)
    else:
        _print_survey(result, store, as_json)


def _print_survey(survey: Survey, store: Store, as_json: bool) -> None:
    if as_json:
        print_json(_plain(survey, survey.unused, deleted=False))
        return
    console = new_console()
    _print_things(survey.unused, console)
    _print_left_out(survey, console)
    if survey.unused:
        console.print(
            f"nothing was removed; to remove them: raysweep gc --storage {store.root} --delete", soft_wrap=True
        )
    else:
        console.print(f"nothing to remove: {_all_used(survey)}", soft_wrap=True)
    console.print(f"storage: {store.files}", soft_wrap=True)


def _print_removal(done: Removal, store: Store, as_json: bool) -> None:
    if as_json:
        print_json({**_plain(done.survey, done.removed, deleted=True), "stopped": done.stopped})
        return
    console = new_console()
    _print_things(done.removed, console)
    _print_left_out(done.survey, console)
    if done.stopped:
        left = len(done.survey.unused) - len(done.removed)
        console.print(f"stopped: {done.stopped}; {left:,} left, give the command again after it", soft_wrap=True)
    if done.removed:
        removed = f"{_things(len(done.removed))}, {size(total_bytes(done.removed))}"
        console.print(f"removed {removed}", soft_wrap=True)
    else:
        console.print(f"nothing was removed: {_all_used(done.survey)}", soft_wrap=True)
    console.print(f"storage: {store.files}", soft_wrap=True)


def _plain(survey: Survey, things: Sequence[Unused], *, deleted: bool) -> dict[str, object]:
    return {
        "deleted": deleted,
        "sweeps": survey.sweeps,
        "number": len(things),
        "bytes": total_bytes(things),
        "things": [{"kind": thing.kind, "name": thing.name, "bytes": thing.bytes} for thing in things],
        "left_out": [dataclasses.asdict(part) for part in survey.left_out],
    }


def _print_things(things: Sequence[Unused], console: Console) -> None:
    if not things:
        return
    table = Table("not used by any sweep", *(Column(name, justify="right") for name in ("number", "size")), box=None)
    for part in sums_by_kind(things):
        table.add_row(part.kind, f"{part.number:,}", size(part.bytes))
    table.add_row("together", f"{len(things):,}", size(total_bytes(things)), style="bold")
    console.print(table)


def _print_left_out(survey: Survey, console: Console) -> None:
    for part in survey.left_out:
        console.print(f"left out: {_things(part.number)}, {size(part.bytes)}: {part.reason}", soft_wrap=True)


def _all_used(survey: Survey) -> str:
    if survey.left_out:
        return "what no sweep uses is left out"
    return f"all artefacts are used by {count(survey.sweeps, 'sweep')}" if survey.sweeps else "there is nothing"


def _things(number: int) -> str:
    return count(number, "folder or file") if number == 1 else f"{number:,} folders and files"
