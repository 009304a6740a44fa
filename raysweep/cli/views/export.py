"""Prints what an export has written, and what is missing or left out."""

from __future__ import annotations

from raysweep.cli.views.console import new_console, print_json
from raysweep.sweep.export.formats import Exported
from raysweep.units import count


def print_exported(done: Exported, as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(done.folder), "files": list(done.files), "notes": list(done.notes)})
        return
    console = new_console()
    for note in done.notes:
        console.print(f"note: {note}", soft_wrap=True)
    console.print(f"wrote {count(len(done.files), 'file')} to {done.folder}", soft_wrap=True)
