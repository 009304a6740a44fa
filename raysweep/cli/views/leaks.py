"""Prints the training rows that leak test problems."""

from __future__ import annotations

import dataclasses

from raysweep.cli.views.console import new_console, print_json
from raysweep.sweep.leaks import FoundLeaks
from raysweep.units import count

WIDTH = 60
"""Characters of an instruction that are shown."""


def print_leaks(found: FoundLeaks, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    console = new_console()
    for leak in found.leaks:
        text = " ".join(leak.instruction.split())
        shown = text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
        which = f"row {int(leak.row_id) + 1:,}" if leak.row_id.isdecimal() else f"row {leak.row_id}"  # ids are from 0
        which += f" of {leak.source}" * bool(leak.source)
        console.print(f"{which} gives {leak.problem_set} {leak.task_id} away ({leak.rule}): {shown}", soft_wrap=True)
    if not found.rows:
        console.print("rows of this config's sources can't give these problems away")
        return
    rows = len({(leak.source, leak.row_id) for leak in found.leaks})
    problems = len({(leak.problem_set, leak.task_id) for leak in found.leaks})
    gives, they, them = ("gives", "it is", "it") if rows == 1 else ("give", "they are", "them")
    way = ""
    if rows:
        way = f"; {they} left out" if found.drops else f"; `training.decontaminate: drop` leaves {them} out"
    console.print(
        f"{rows:,} of {count(found.rows, 'row')} {gives} {count(problems, 'evaluated problem')} away{way}",
        soft_wrap=True,
    )
    if found.makes_rejected:
        console.print("rejected responses are searched in a run, when they are made: see `leakage` in its report")
