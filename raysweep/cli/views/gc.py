"""Prints what no sweep of a store uses: by kind with number and size, what is left out and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

from raysweep.cli.views.console import new_console
from raysweep.cli.views.results import print_json
from raysweep.storage.store import Store
from raysweep.sweep.gc import Removal, Survey, Unused
from raysweep.units import count, size


def print_gc(found: Survey | Removal, store: Store, as_json: bool) -> None:
    """Print what may be removed and how to remove it, or what was removed; JSON names each folder and file."""
    if isinstance(found, Removal):
        _print_removal(found, store, as_json)
    else:
        _print_survey(found, store, as_json)


def _print_survey(found: Survey, store: Store, as_json: bool) -> None:
    if as_json:
        print_json(_plain(found, found.unused, deleted=False))
        return
    console = new_console()
    _print_things(found.unused, console)
    _print_left_out(found, console)
    if found.unused:
        console.print(
            f"nothing was removed; to remove them: raysweep gc --storage {store.root} --delete", soft_wrap=True
        )
    else:
        console.print(f"nothing to remove: {_all_used(found)}", soft_wrap=True)
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
        total = size(sum(one.bytes for one in done.removed))
        console.print(f"removed {_things(len(done.removed))}, {total}", soft_wrap=True)
    else:
        console.print(f"nothing was removed: {_all_used(done.survey)}", soft_wrap=True)
    console.print(f"storage: {store.files}", soft_wrap=True)


def _plain(found: Survey, things: Sequence[Unused], *, deleted: bool) -> dict[str, object]:
    return {
        "deleted": deleted,
        "sweeps": found.sweeps,
        "number": len(things),
        "bytes": sum(one.bytes for one in things),
        "things": [{"kind": one.kind, "name": one.name, "bytes": one.bytes} for one in things],
        "left_out": [dataclasses.asdict(one) for one in found.left_out],
    }


def _print_things(things: Sequence[Unused], console: Console) -> None:
    """Print a line for each kind, in the order in which they are removed, and their sum."""
    if not things:
        return
    table = Table("not used by any sweep", *(Column(name, justify="right") for name in ("number", "size")), box=None)
    for kind in dict.fromkeys(one.kind for one in things):
        sizes = [one.bytes for one in things if one.kind == kind]
        table.add_row(kind, f"{len(sizes):,}", size(sum(sizes)))
    table.add_row("together", f"{len(things):,}", size(sum(one.bytes for one in things)), style="bold")
    console.print(table)


def _print_left_out(found: Survey, console: Console) -> None:
    for one in found.left_out:
        console.print(f"left out: {_things(one.number)}, {size(one.bytes)}: {one.reason}", soft_wrap=True)


def _all_used(found: Survey) -> str:
    if found.left_out:
        return "what no sweep uses is left out"
    return f"all artefacts are used by {count(found.sweeps, 'sweep')}" if found.sweeps else "there is nothing"


def _things(number: int) -> str:
    return count(number, "folder or file") if number == 1 else f"{number:,} folders and files"
