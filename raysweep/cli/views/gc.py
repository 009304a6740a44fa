"""Prints what no sweep of a store uses: by kind with number and size, what is left out and why."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence

from rich.table import Column, Table

from raysweep.cli.views.console import new_console, print_json
from raysweep.storage.store import Store
from raysweep.sweep.gc import Removal, Survey, Unused
from raysweep.units import count, size


def print_gc(result: Survey | Removal, store: Store, as_json: bool) -> None:
    survey, removal = (result.survey, result) if isinstance(result, Removal) else (result, None)
    things = removal.removed if removal else survey.unused
    total = sum(thing.bytes for thing in things)
    if as_json:
        facts = {
            "deleted": removal is not None,
            "sweeps": survey.sweeps,
            "number": len(things),
            "bytes": total,
            "things": [{"kind": thing.kind, "name": thing.name, "bytes": thing.bytes} for thing in things],
            "left_out": [dataclasses.asdict(part) for part in survey.left_out],
        }
        print_json({**facts, "stopped": removal.stopped} if removal else facts)
        return
    console = new_console()
    if things:
        console.print(_table(things, total))
    for part in survey.left_out:
        console.print(f"left out: {_things(part.number)}, {size(part.bytes)}: {part.reason}", soft_wrap=True)
    if removal and removal.stopped:
        left = len(survey.unused) - len(things)
        console.print(f"stopped: {removal.stopped}; {left:,} left, give the command again after it", soft_wrap=True)
    if not things:
        nothing = "nothing was removed" if removal else "nothing to remove"
        console.print(f"{nothing}: {_all_used(survey)}", soft_wrap=True)
    elif removal:
        console.print(f"removed {_things(len(things))}, {size(total)}", soft_wrap=True)
    else:
        delete = f"raysweep gc --storage {shlex.quote(store.root)} --delete"
        console.print(f"nothing was removed; to remove them: {delete}", soft_wrap=True)
    console.print(f"storage: {store.files}", soft_wrap=True)


def _table(things: Sequence[Unused], total: int) -> Table:
    table = Table("not used by any sweep", *(Column(name, justify="right") for name in ("number", "size")), box=None)
    for kind in dict.fromkeys(thing.kind for thing in things):
        sizes = [thing.bytes for thing in things if thing.kind == kind]
        table.add_row(kind, f"{len(sizes):,}", size(sum(sizes)))
    table.add_row("together", f"{len(things):,}", size(total), style="bold")
    return table


def _all_used(survey: Survey) -> str:
    if survey.left_out:
        return "what no sweep uses is left out"
    return f"all artefacts are used by {count(survey.sweeps, 'sweep')}" if survey.sweeps else "there is nothing"


def _things(number: int) -> str:
    return count(number, "folder or file") if number == 1 else f"{number:,} folders and files"
