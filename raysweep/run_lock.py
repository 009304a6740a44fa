"""One run of a sweep at a time: a lock on a file in the sweep's folder, which the kernel drops with the process.

It holds between processes of one machine (and where the file system passes locks on, of several).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raysweep.errors import UsageError

FILE = "lock"


@contextmanager
def held(folder: Path, sweep: str) -> Iterator[None]:
    """Hold a sweep's folder for the length of the block.

    Raises:
        UsageError: another process runs the sweep; it is named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read().strip() or "another process"
            raise UsageError(
                f"sweep {sweep!r} is being run by {who}; wait for it (raysweep status {sweep}), stop it, or give this "
                f"one another name (--set name={sweep}-2)"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        file.flush()
        yield


def is_held(folder: Path) -> bool:
    """Tell whether a process runs the sweep of a folder."""
    try:
        with (folder / FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
