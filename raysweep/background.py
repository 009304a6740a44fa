"""Something that is looked at again and again, in a thread, while a block runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def repeated(look: Callable[[], object], seconds: float, name: str) -> Iterator[None]:
    """Call a function every so many seconds while the block runs.

    Args:
        look: must not raise.
        seconds: before the first call and between two.
        name: of the thread.
    """
    over = threading.Event()

    def run() -> None:
        while not over.wait(seconds):
            look()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)
