"""Measures the parts of an edit, such as its localization: seconds of the clock and of the CPU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LOCALIZATION, EDIT = "localization", "edit"
"""The parts of an edit."""


class PartTimes:
    """Adds up the seconds of each part. On a GPU, a part ends when its kernels do."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._cpu_seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began, cpu_began = time.perf_counter(), time.process_time()
        try:
            yield
            _finish_kernels()
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - began
            self._cpu_seconds[name] = self._cpu_seconds.get(name, 0.0) + time.process_time() - cpu_began

    @property
    def counts(self) -> dict[str, Any]:
        return {"seconds": _rounded(self._seconds), "cpu_seconds": _rounded(self._cpu_seconds)}


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in seconds.items()}


def _finish_kernels() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
