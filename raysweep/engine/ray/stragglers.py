"""Reports batches that take much longer than the others, each once, with the process that runs it."""

from __future__ import annotations

import statistics

from raysweep.units import duration

MIN_SECONDS = 60.0
"""A faster batch is no straggler, since a few programs of a batch may reach their time limit."""
FACTOR = 5.0
"""A straggler takes longer than this multiple of the others' median."""
MIN_FINISHED = 3
"""Batches that must have finished before another one is called a straggler."""


class Stragglers:
    """The start times of running batches, and the durations of others, in seconds of a monotonic clock."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._running: dict[int, tuple[float, str]] = {}
        self._durations: list[float] = []
        self._reported: set[int] = set()

    def start(self, index: int, where: str, now: float) -> None:
        self._running[index] = (now, where)

    def finish(self, index: int, now: float) -> None:
        if index in self._running:
            self._durations.append(now - self._running.pop(index)[0])

    def drop(self, index: int) -> None:
        self._running.pop(index, None)

    def report(self, now: float) -> list[str]:
        """Return a line for each batch that has become a straggler since the last call."""
        if len(self._durations) < MIN_FINISHED:
            return []
        median = statistics.median(self._durations)
        lines = []
        for index, (start, where) in self._running.items():
            if index not in self._reported and now - start > max(MIN_SECONDS, FACTOR * median):
                self._reported.add(index)
                lines.append(
                    f"batch {index + 1:,} of {self._total:,} has run for {duration(now - start)} in "
                    f"{where}; the others took {median:.1f} s (median)"
                )
        return lines
