"""Consoles that print text as it is, without markup."""

from __future__ import annotations

import sys

from rich.console import Console

LOG_WIDTH = 200
"""Columns if stdout is no terminal: a table in a file need not be narrow."""


def new_console(*, stderr: bool = False) -> Console:
    """Return a console on stdout or stderr.

    Names, paths and error texts may hold square brackets and colons: rich's markup and emoji codes are off.
    """
    file = sys.stderr if stderr else sys.stdout
    console = Console(file=file, markup=False, emoji=False, highlight=False)
    if console.is_terminal or stderr:
        return console
    return Console(file=file, markup=False, emoji=False, highlight=False, width=LOG_WIDTH)
