"""Prints pairs of responses with their marks."""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from raysweep.cli.views.console import new_console
from raysweep.tools.pairs.shown import MarkedToken, PairCounts, ShownPair

_STYLES = ("", "black on yellow", "bold underline black on bright_red")
_BRACKETS = (("", ""), ("{", "}"), ("[[", "]]"))
_LEGEND = ("", "mark 1: its line differs", "mark 2: its characters differ, too")


def print_pairs(pairs: Sequence[ShownPair], counts: PairCounts, as_json: bool) -> None:
    if as_json:
        shown = [dataclasses.asdict(pair) for pair in pairs]
        print(json.dumps({"counts": dataclasses.asdict(counts), "pairs": shown}, indent=1))
        return
    console = new_console()
    colour = console.color_system is not None and not console.no_color
    console.print(_legend(colour), soft_wrap=True)
    for pair in pairs:
        title = f"\n{pair.row_id}  {pair.reason}, similarity {pair.similarity:.2f}"
        console.print(Text(_visible(title), style="bold"), soft_wrap=True)
        console.print(Text(_visible(pair.task), style="dim"), soft_wrap=True)
        _print_side("response", pair.response, console, colour)
        _print_side("rejected", pair.rejected, console, colour)
    console.print()
    for line in counts.in_words():
        console.print(line, soft_wrap=True)


def _legend(colour: bool) -> Text:
    shown = [_marked(_LEGEND[mark], mark, colour) for mark in (1, 2)]
    return Text("   ").join(shown)


def _print_side(title: str, pieces: Sequence[MarkedToken], console: Console, colour: bool) -> None:
    text = Text(f"--- {title}\n")
    for mark, group in groupby(pieces, key=lambda piece: piece.mark):
        text.append_text(_marked("".join(piece.text for piece in group), mark, colour))
    console.print(text, soft_wrap=True)


def _marked(text: str, mark: int, colour: bool) -> Text:
    if colour:
        return Text(_visible(text), style=_STYLES[mark])
    before, after = _BRACKETS[mark]
    return Text(f"{before}{_visible(text)}{after}")


def _visible(text: str) -> str:
    """Return a text with its control characters as pictures or codes, which a terminal would obey."""
    return "".join(_picture(c) if unicodedata.category(c) in ("Cc", "Cf") and c not in "\n\t" else c for c in text)


def _picture(control: str) -> str:
    if control == "\x7f":
        return "␡"
    return chr(0x2400 + ord(control)) if ord(control) < 32 else f"<{ord(control):x}>"
