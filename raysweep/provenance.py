"""What machine and which versions made something."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
from collections.abc import Sequence
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def provenance() -> dict[str, Any]:
    """Return the machine and the versions of what can change results."""
    return {
        "host": socket.gethostname(),
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions(("raysweep", "torch", "transformers", "peft", "ray", "tokenizers", "numpy")),
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the installed versions of packages, without importing them."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
