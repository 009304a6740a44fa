"""Prints text as it is, without markup, and values as JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console

LOG_WIDTH = 200
"""Columns if stdout is no terminal: a table in a file need not be narrow."""


def new_console(*, stderr: bool = False) -> Console:
    """Without rich's markup and emoji codes: names, paths and error texts may hold square brackets and colons."""
    file = sys.stderr if stderr else sys.stdout
    console = Console(file=file, markup=False, emoji=False, highlight=False)
    if console.is_terminal or stderr:
        return console
    return Console(file=file, markup=False, emoji=False, highlight=False, width=LOG_WIDTH)


def rate_text(value: float, low: float, high: float, digits: int, over: str) -> str:
    """Return a rate with its interval in words. `over`: what it is a mean of."""
    from raysweep.stats.intervals import NO_INTERVAL

    if math.isnan(value):
        return "undefined"
    if math.isnan(low):
        return f"{value:.{digits}f} ({NO_INTERVAL})"
    return f"{value:.{digits}f} (95 % interval {low:.{digits}f} to {high:.{digits}f} over {over})"


def print_json(value: Any) -> None:
    """Print a value as standard JSON, which has null in place of NaN."""
    print(json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
