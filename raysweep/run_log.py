"""The log file of a run."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

log = logging.getLogger("raysweep")


class LogFile(logging.FileHandler):
    """A log file that is news, not results: a line that can't be written is left out."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: the terminal has the message, and a traceback a line would bury it."""

    def close(self) -> None:
        """Close it, whatever is left to write."""
        with contextlib.suppress(OSError):
            super().close()


def log_to(path: Path) -> None:
    """Send the run's log to a file too, with the tracebacks that a terminal is spared, and say where."""
    for handler in [handler for handler in log.handlers if isinstance(handler, LogFile)]:
        log.removeHandler(handler)
        handler.close()
    log.addHandler(LogFile(path))
    log.info("log: %s", path)
