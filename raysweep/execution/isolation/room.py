"""Waits where the machine has no room for another process: no number, or no memory, for a moment or for good."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
ROOM_SECONDS = 30.0  # that a slot's process waits; less than slot.GRACE_SECONDS, after which the slot counts as lost
PAUSE_SECONDS = 0.1


def lacks_room(error: BaseException) -> bool:
    """Return True for the errors of a system call that would have started a process, had there been room for one."""
    return isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.ENOMEM)


def with_room(start: Callable[[], T], seconds: float = ROOM_SECONDS) -> T:
    """Call `start` again for so many seconds while there is no room; raise OSError if there was none."""
    until = time.monotonic() + seconds
    while True:
        try:
            return start()
        except OSError as error:
            if not lacks_room(error) or time.monotonic() >= until:
                raise
        time.sleep(PAUSE_SECONDS)
