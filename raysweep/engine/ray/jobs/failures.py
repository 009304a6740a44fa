"""Says what the end of a job means: its exit code as a shell gives it, and the reason of a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STOPPED = 143
"""Exit code for a job that someone stopped: as after SIGTERM, which Ray sends it."""
NO_RAYSWEEP = 127
"""Exit code of a shell that doesn't find the command."""


@dataclass(frozen=True)
class Ended:
    """How a job ended. `code`: its exit code as a shell gives it; `problem`: why it failed, "" if its log says so."""

    code: int
    problem: str = ""


def end_of(info: Mapping[str, Any]) -> Ended:
    """`info`: what Ray's dashboard gives for the ended job: ``status``, ``message``, ``driver_exit_code``."""
    code, status = info.get("driver_exit_code"), info["status"]
    if status == "STOPPED":
        return Ended(STOPPED, "someone stopped it; the same command resumes it")
    if code is None:  # it never started, or its node died
        return Ended(0) if status == "SUCCEEDED" else Ended(1, str(info.get("message") or ""))
    if code == NO_RAYSWEEP:
        return Ended(code, "its shell found no raysweep; install it on every node, in the environment that starts Ray")
    return Ended(code if code >= 0 else 128 - code)
