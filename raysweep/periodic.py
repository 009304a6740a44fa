"""Calls a function every few seconds in a thread, while other work runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def run_periodically(function: Callable[[], object], seconds: float, name: str) -> Iterator[None]:
    """`function` must not raise. `seconds`: before the first call, and between calls."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(seconds):
            function()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(timeout=5)
