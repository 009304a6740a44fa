"""Prints what a config's sets hold: sizes, training rows that leak test problems, responses beside rejected ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from raysweep.cli.views.console import new_console, print_json
from raysweep.errors import escaped
from raysweep.units import count

if TYPE_CHECKING:
    from raysweep.sweep.data_sets import DataSets
    from raysweep.sweep.leaks import FoundLeaks
    from raysweep.tools.pairs.shown import MarkedToken, PairCounts, ShownPair

WIDTH = 60
"""Characters of an instruction that are shown."""
_STYLES = ("", "black on yellow", "bold underline black on bright_red")
_BRACKETS = (("", ""), ("{", "}"), ("[[", "]]"))
_LEGEND = ("", "mark 1: its line differs", "mark 2: its characters differ, too")


def print_data_sets(made: DataSets, as_json: bool) -> None:
    rows = [dataclasses.asdict(data_set) | {"folder": made.store.folder(data_set.node)} for data_set in made.sets]
    if as_json:
        sets = [{key: value for key, value in row.items() if key != "node"} for row in rows]
        print_json({"sets": sets, "errors": dict(made.errors)})
        return
    console = new_console()
    numbers = (Column(name, justify="right") for name in ("rows", "perturbed", "unchanged", "not compiling"))
    table = Table("set", *numbers, box=None, pad_edge=False)
    for data_set in made.sets:
        counts = (data_set.rows, data_set.perturbed, data_set.unchanged, data_set.broken)
        table.add_row(data_set.name, *(f"{number:,}" for number in counts))
    console.print(table)
    if made.leakage:
        console.print(f"leakage: {made.leakage}", soft_wrap=True)
    for name, error in made.errors.items():
        console.print(f"failed: {name}: {error}", style="red", soft_wrap=True)


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


def print_pairs(pairs: Sequence[ShownPair], counts: PairCounts, as_json: bool) -> None:
    if as_json:
        shown = [dataclasses.asdict(pair) for pair in pairs]
        print_json({"counts": dataclasses.asdict(counts), "pairs": shown})
        return
    console = new_console()
    colour = console.color_system is not None and not console.no_color
    console.print(Text("   ").join([_marked(_LEGEND[mark], mark, colour) for mark in (1, 2)]), soft_wrap=True)
    for pair in pairs:
        title = f"\n{pair.row_id}  {pair.reason}, similarity {pair.similarity:.2f}"
        console.print(Text(escaped(title), style="bold"), soft_wrap=True)
        console.print(Text(escaped(pair.task), style="dim"), soft_wrap=True)
        _print_side("response", pair.response, console, colour)
        _print_side("rejected", pair.rejected, console, colour)
    console.print()
    for line in counts.in_words():
        console.print(line, soft_wrap=True)


def _print_side(title: str, pieces: Sequence[MarkedToken], console: Console, colour: bool) -> None:
    text = Text(f"--- {title}\n")
    for mark, group in groupby(pieces, key=lambda piece: piece.mark):
        text.append_text(_marked("".join(piece.text for piece in group), mark, colour))
    console.print(text, soft_wrap=True)


def _marked(text: str, mark: int, colour: bool) -> Text:
    if colour:
        return Text(escaped(text), style=_STYLES[mark])
    before, after = _BRACKETS[mark]
    return Text(f"{before}{escaped(text)}{after}")
