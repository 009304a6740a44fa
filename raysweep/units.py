"""Formats numbers with units: counts ("2 cells"), sizes ("23.5 GiB"), durations ("3 min 05 s"), shares ("12.5 %").

Times in configs ("10min") are read here too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal

LONGEST = 309
"""Digits before the point of the largest float."""


def count(number: int, noun: str) -> str:
    """Return ``1 cell``, ``2 cells``, ``1,200 cells``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def first_of(names: Sequence[str], noun: str, shown: int = 3) -> str:
    """Return the first of several names, and how many more there are: ``a, b, c and 2 more cells``."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more:,} more {noun}{'s' * (more != 1)}" if more > 0 else "")


def by_text(found: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each text of pairs of name and text, with all names that have it: ``a, b: text``."""
    names: dict[str, dict[str, None]] = {}
    for name, text in found:
        names.setdefault(text, {})[name] = None
    return [f"{', '.join(of_text)}: {text}" for text, of_text in names.items()]


def formatted(number: float, form: str) -> str:
    """Return a number in a format such as ``{:.3g}``, with the minus sign that `decimal` has."""
    text = form.format(number)
    return f"−{text[1:]}" if text.startswith("-") else text


def decimal(number: float, digits: int = 1, sign: str = "") -> str:
    """Return a number with `digits` after the point: ``71.5``, ``−36.3``, and ``0.0`` for what rounds to 0.

    Halves are rounded away from 0, also those that a float holds a little below themselves.

    `number`: NaN gives ``nan``. `sign`: ``+`` shows a plus, too, but at 0.
    """
    if not math.isfinite(number):
        return f"{number}".replace("-", "−")
    exact = Decimal(f"{number:.{max(9, digits)}f}")
    rounded = exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, Context(LONGEST + digits))
    return f"{rounded:{sign}f}".replace("-", "−") if rounded else f"{abs(rounded):f}"


def share(part: int, whole: int) -> str:
    """Return ``12.5 %``. Only a share of nothing is shown as 0 %, and only the whole as 100 %."""
    if 0 < part < 0.001 * whole:
        return "less than 0.1 %"
    return f"{min(99.9, 100 * part / whole) if part < whole else 100:.1f} %".replace(".0 %", " %")


def size(amount: float) -> str:
    """Return bytes as ``23.5 GiB``, below one GiB as ``300 MiB``, and little as ``< 1 MiB``."""
    if 0 < amount < 2**20:
        return "< 1 MiB"
    return f"{amount / 2**30:.1f} GiB" if amount >= 2**30 else f"{amount // 2**20:.0f} MiB"


def hours(number: float) -> str:
    """Return hours in words, with three digits at least: ``0.0124``, ``12.3``, ``1,996``."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def duration(seconds: float) -> str:
    """Return seconds as ``42 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def seconds_of(text: str) -> float:
    """Return the seconds of a time such as ``90s``, ``10min`` or ``1.5h``.

    Raises:
        ValueError: the text is no such time, or not above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h)", text)
    if not match or not float(match[1]):
        raise ValueError(f"{text!r} is no time; write 90s, 10min or 1.5h")
    return float(match[1]) * {"s": 1, "min": 60, "h": 3600}[match[2]]
