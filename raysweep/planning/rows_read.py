"""Says what is read of training rows: columns and keys that nobody reads, rows with system texts or earlier turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from raysweep.config.checks.mistakes import row_sources
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.trainers.base import ALL
from raysweep.training_sets.jsonl import ShapedRows
from raysweep.training_sets.repair import RepairRows
from raysweep.units import count

SHOWN = 12
"""Most names that a line has."""
REJECTED_WAY = "; `rejected: {field: rejected}` and an objective that compares pairs, such as dpo, read `rejected`"


@dataclass(frozen=True)
class RowsRead:
    """The rows of one source.

    Attributes:
        where: the source's key in the config, such as training.source.
        rows: how many it has.
        unread: names of columns, and of keys of messages (``messages.name``), that nobody reads.
        with_system: number of rows with a system text.
        with_history: number of rows with earlier turns.
        loss_on: what the recipes say of these rows' answers.
    """

    where: str
    rows: int
    unread: tuple[str, ...]
    with_system: int
    with_history: int
    loss_on: frozenset[str]

    @property
    def lines(self) -> Iterator[str]:
        of = count(self.rows, "row")
        if self.unread:
            more = len(self.unread) - SHOWN
            shown = f"{', '.join(self.unread[:SHOWN])}{f' and {more} more (--json)' if more > 0 else ''}"
            way = REJECTED_WAY if "rejected" in self.unread else ""
            yield f"{self.where}: not read of its rows: {shown}{way}"
        if self.with_history:
            many = f"{self.with_history:,} of {of} {'has' if self.with_history == 1 else 'have'} earlier turns"
            whose = "of all answers (`loss_on: all`)" if ALL in self.loss_on else "of the last answer alone"
            whose += ", of some recipes that of the last one" if len(self.loss_on) > 1 else ""
            yield f"{self.where}: {many}, which stand in the prompt; the loss is that {whose}"
        if self.with_system:
            yield f"{self.where}: {self.with_system:,} of {of} with a system text of the row's own"


def rows_read(config: SweepConfig) -> Iterator[RowsRead]:
    """Yield what is read of each source of rows in files; one that can't be read is left out."""
    for place, of, _ in row_sources(config):
        with suppress(UsageError):
            source = config.source(of)
            if not isinstance(source, ShapedRows | RepairRows):
                continue
            if source.size is None:
                source.check()
            turns = (source.with_system, source.with_history) if isinstance(source, ShapedRows) else (0, 0)
            loss_on = frozenset(recipe.loss_on for recipe in config.recipes.values())
            yield RowsRead(".".join(map(str, place)), source.size or 0, source.unread, *turns, loss_on)
