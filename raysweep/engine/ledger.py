"""The ledger of a sweep: seconds of GPUs that its cells and shared tasks have used, in all its runs.

It is ``ledger/gpu_seconds.json`` in the sweep's folder, seconds by task and type of accelerator:
``{"llama.C1.full.s1": {"A100": 5123.2}}``. What belongs to no task has the empty name: the time of a process that waits
for its next batch. A process that holds half a GPU for an hour uses half a GPU-hour. One process writes the ledger.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict

from raysweep.errors import StoreError
from raysweep.storage.files import Files
from raysweep.units import hours

FOLDER = "ledger"
"""Of the sweep's folder."""
FILE = "gpu_seconds.json"
HOUR = 3600.0
GPU_HOURS = "GPU-hours"
"""The number's name, in `raysweep.load_results` and in Ray Tune's results."""


class Ledger:
    """What was used until now; raises StoreError for a damaged file. `folder`: the sweep's."""

    def __init__(self, folder: Files) -> None:
        self._files = folder.below(FOLDER)
        self._seconds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._is_written = True
        try:
            for task, types in json.loads(self._files.read(FILE) or b"{}").items():
                self._seconds[task].update({name: float(seconds) for name, seconds in types.items()})
        except (ValueError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{self._files}/{FILE} is damaged ({error}); remove it, and GPU-hours are counted from 0"
            ) from None

    def add(self, task: str, accelerator: str, seconds: float) -> None:
        self._seconds[task][accelerator] += seconds
        self._is_written = False

    def write(self) -> None:
        """Write the file if something was added. A file that can't be written now is written the next time."""
        if not self._is_written:
            with contextlib.suppress(StoreError):
                self._files.write(FILE, json.dumps(self._seconds, indent=1, sort_keys=True), patient=False)
                self._is_written = True

    def hours(self, task: str) -> float:
        return sum(self._seconds[task].values()) / HOUR if task in self._seconds else 0.0

    def all_hours(self) -> dict[str, float]:
        return {task: self.hours(task) for task in sorted(self._seconds)}

    def accelerators(self) -> dict[str, set[str]]:
        return {task: set(seconds) for task, seconds in self._seconds.items()}

    def by_accelerator(self) -> dict[str, float]:
        totals: dict[str, float] = defaultdict(float)
        for by_type in self._seconds.values():
            for accelerator, seconds in by_type.items():
                totals[accelerator] += seconds / HOUR
        return dict(sorted(totals.items()))

    @property
    def total(self) -> float:
        return sum(self.by_accelerator().values())


def spent_text(ledger: Ledger, most: float | None) -> str:
    """Say that a sweep has used the GPU-hours that it may use; empty while it has not, or if it may use any number."""
    if most is None or ledger.total < most:
        return ""
    return f"the sweep has used {hours(ledger.total)} GPU-hours (--max-gpu-hours {most:,.12g})"
