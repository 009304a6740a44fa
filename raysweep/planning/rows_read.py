"""Says what is read of training rows: columns and keys that nobody reads, rows with system texts or earlier turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from raysweep.config.checks.mistakes import row_sources
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.training_sets.jsonl import ShapedRows
from raysweep.training_sets.repair import RepairRows


def rows_read(config: SweepConfig) -> Iterator[str]:
    """Yield a line for each source of rows in files; one that can't be read is left out.

    It has the numbers of rows, of those with earlier turns, which stand in the prompt, and of those with a system text
    of their own; and the names of columns, and of keys of messages (``messages.name``), that nobody reads.
    """
    for place, of, _ in row_sources(config):
        with suppress(UsageError):
            source = config.source(of)
            if not isinstance(source, ShapedRows | RepairRows):
                continue
            if source.size is None:
                source.check()
            turns = (source.with_history, source.with_system) if isinstance(source, ShapedRows) else (0, 0)
            has = f"{turns[0]:,} with earlier turns, {turns[1]:,} with a system text"
            where, unread = ".".join(map(str, place)), ", ".join(source.unread) or "nothing"
            yield f"{where}: rows: {source.size or 0:,}, {has}; not read: {unread}"
