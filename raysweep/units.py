"""Formats numbers with units: counts ("2 cells"), sizes ("23.5 GiB"), durations ("3 min 05 s"), shares ("12.5 %")."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """Return ``1 cell``, ``2 cells``, ``1,200 cells``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def share(part: int, whole: int) -> str:
    """Return ``12.5 %``. Only a share of nothing is shown as 0 %, and only the whole as 100 %."""
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
