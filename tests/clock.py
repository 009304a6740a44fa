"""A clock for tests that must see time pass: it stands still but for what they let pass."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Stands in for the module `time` where a module of raysweep has imported it; all else is the module's own."""

    def __init__(self) -> None:
        # whole seconds, so that sums and differences of such are exact: a minute later is not 59.999 s later
        self._time, self._monotonic = time.time(), float(round(time.monotonic()))
        self._due: list[tuple[float, Callable[[], object]]] = []

    def sleep(self, seconds: float) -> None:
        """Let time pass at once, and do what is due then."""
        self._time += seconds
        self._monotonic += seconds
        for moment, action in list(self._due):
            if moment <= self._monotonic:
                self._due.remove((moment, action))
                action()

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something once so much time has passed."""
        self._due.append((self._monotonic + seconds, action))

    def time(self) -> float:
        return self._time

    def monotonic(self) -> float:
        return self._monotonic

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)
