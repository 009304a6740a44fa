"""A clock for tests that must see time pass: it stands still but for what they let pass."""

from __future__ import annotations

import time


class Clock:
    """Stands in for the module `time` where a module of raysweep has imported it; all else is the module's own."""

    def __init__(self) -> None:
        self._time, self._monotonic = time.time(), time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self._time += seconds
        self._monotonic += seconds

    def time(self) -> float:
        return self._time

    def monotonic(self) -> float:
        return self._monotonic

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)
