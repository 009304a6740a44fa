"""Calls a function every few seconds in a thread, while other work runs."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

log = logging.getLogger("raysweep")


@contextlib.contextmanager
def run_periodically(function: Callable[[], object], seconds: float, name: str) -> Iterator[None]:
    """`seconds`: before the first call, and between calls. An error is only logged, and the function called again."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(seconds):
            try:
                function()
            except Exception:  # such as a moment without an answer from Ray
                log.debug("the thread %r met an error", name, exc_info=True)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(timeout=5)
