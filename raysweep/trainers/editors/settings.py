"""Checks the numbers among the settings of editors, and the block that they name."""

from __future__ import annotations

from collections.abc import Mapping

from raysweep.errors import UsageError


def require_numbers(
    editor: str, positive: Mapping[str, float], at_least: Mapping[str, tuple[float, float]] | None = None
) -> None:
    """Raise UsageError for the first setting that is out of its range.

    `positive`: settings that must be above 0, by their names. `at_least`: settings with the least value that each may
    have.
    """
    for name, value in positive.items():
        if not value > 0:
            raise UsageError(f"editor {editor}: {name} {value} must be above 0")
    for name, (value, least) in (at_least or {}).items():
        if not value >= least:
            raise UsageError(f"editor {editor}: {name} {value} must be {least:g} or more")


def require_block(place: object, blocks: int, whose: str) -> None:
    """Raise UsageError if a model lacks the block of a number; a place in words is always there."""
    if isinstance(place, int) and not 0 <= place < blocks:
        raise UsageError(
            f"`edit_at: {place}` names no block of {whose}, which has {blocks}; write a number from 0 to {blocks - 1}, "
            "or first, middle, last, random or dinm; creme alone has auto, too"
        )
