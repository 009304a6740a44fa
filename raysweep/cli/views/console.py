"""Prints text without markup, with what a terminal would obey escaped, and values as JSON."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text
from typing_extensions import override

from raysweep.errors import escaped
from raysweep.hashing import strict_json

LOG_WIDTH = 200
"""Columns if stdout is no terminal: a table in a file need not be narrow."""

LONGEST_LINE = 300
"""Most characters of a line about an error."""


def new_console(*, stderr: bool = False) -> Console:
    """Without rich's markup and emoji codes: names, paths and error texts may hold square brackets and colons."""
    file = sys.stderr if stderr else sys.stdout
    width = None if stderr or Console(file=file).is_terminal else LOG_WIDTH
    return _EscapingConsole(file=file, markup=False, emoji=False, highlight=False, width=width)


def shortened(text: str) -> str:
    """Cut a line to `LONGEST_LINE` characters; `raysweep status NAME --cell` and the log have errors whole."""
    return text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE - 4]} ..."


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
    print(strict_json(value, indent=1))


class _EscapingConsole(Console):
    @override
    def render_str(self, text: str, **how: Any) -> Text:
        """Escape first, since a table is as wide as its cells."""
        return super().render_str(escaped(text), **how)

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=escaped(segment.text))
