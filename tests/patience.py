"""How long tests wait before they take a process for one that hangs.

The machine that runs the tests may be shared: the same sweep has taken 90 s on an idle one and 670 s on a busy one.
So the limits are far above what anything needs, or follow from what the machine does now.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

PATIENCE = 1500.0
"""Seconds after which a command that normally takes one or two minutes is taken for one that hangs."""


def stall_seconds() -> int:
    """For `recovery.stall_seconds`: ten times what a process needs now to import what a training worker imports.

    A limit below what parts need to start ends them again and again; one far above it makes the test wait for nothing.
    """
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import ray.train, torch, transformers"], check=True)
    return max(45, round(10 * (time.monotonic() - started)))


def eventually(holds: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Return True as soon as something holds, False if it doesn't after so many seconds.

    What once held is not looked at again: it may be gone a moment later.
    """
    until = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(0.05)
    return held
