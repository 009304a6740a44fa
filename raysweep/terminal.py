"""Text on a terminal: consoles that print what they are given and no markup, counts and durations in words."""

from __future__ import annotations

import sys

from rich.console import Console

LOG_WIDTH = 200
"""Columns where stdout is no terminal: a table in a file need not be narrow."""


def console(*, stderr: bool = False) -> Console:
    """Return a console on stdout or stderr.

    Names, paths and error texts may hold square brackets and colons: rich's markup and emoji codes are off.
    """
    file = sys.stderr if stderr else sys.stdout
    made = Console(file=file, markup=False, emoji=False, highlight=False)
    if made.is_terminal or stderr:
        return made
    return Console(file=file, markup=False, emoji=False, highlight=False, width=LOG_WIDTH)


def count(number: int, what: str) -> str:
    """Return ``1 cell``, ``2 cells``, ``1,200 cells``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def share(part: int, whole: int) -> str:
    """Return ``12.5 %``; what is not nothing doesn't look like it, and what is not all neither."""
    if 0 < part < 0.001 * whole:
        return "less than 0.1 %"
    return f"{min(99.9, 100 * part / whole) if part < whole else 100:.1f} %".replace(".0 %", " %")


def size(amount: float) -> str:
    """Return bytes as ``23.5 GiB``, below one GiB as ``300 MiB``."""
    return f"{amount / 2**30:.1f} GiB" if amount >= 2**30 else f"{amount // 2**20:.0f} MiB"


def duration(seconds: float) -> str:
    """Return seconds as ``42 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
