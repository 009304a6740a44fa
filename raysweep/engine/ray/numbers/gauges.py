"""Gauges that Ray keeps because they are set again and again, and those of a process that generates."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from raysweep.engine.base import EditRun, GenerateJob
from raysweep.engine.jobs import Generated, KeptGenerator
from raysweep.engine.progress import ProgressFile
from raysweep.machine import resident_bytes
from raysweep.periodic import run_periodically
from raysweep.records import Completion, GenerationRequest

RENEW_SECONDS = 1.0
"""Ray exports a gauge once after it was set, and drops it 20 s later; so gauges are set again after so long."""
HOST_TAGS = ("model", "generator")
HOST_GAUGES = {
    "raysweep_tokens_per_second": "tokens of the latest batch by the seconds since the batch before was done",
    "raysweep_batch_tokens": "most tokens that a model holds at a time, now",
    "raysweep_cache_share": "share of those that are in use, when rows were last taken in",
    "raysweep_host_memory_bytes": "resident memory of a process that generates",
}
WAITING = "raysweep_batches_waiting"


def in_ascii(name: str) -> str:
    """Return a name of a config as Ray takes it for tags and functions: with escapes for letters beyond ASCII."""
    return name.encode("ascii", "backslashreplace").decode()


class Gauges:
    """Gauges that keep their values until the process ends.

    `texts`: what each is, by name. `tags`: of each, by name.
    """

    def __init__(self, texts: Mapping[str, str], tags: Mapping[str, tuple[str, ...]]) -> None:
        from ray.util.metrics import Gauge

        self._gauges = {name: Gauge(name, text, tags[name]) for name, text in texts.items()}
        self._values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self._renewing = contextlib.ExitStack()
        self._renewing.enter_context(run_periodically(self._renew, RENEW_SECONDS, "gauges"))

    def set(self, name: str, value: float, tags: Mapping[str, str]) -> None:
        """Set a gauge; NaN, an unknown number, ends its series."""
        tags = {tag: in_ascii(of) for tag, of in tags.items()}
        series = name, frozenset(tags.items())
        if math.isnan(value):
            self._values.pop(series, None)
        else:
            self._values[series] = value
            self._gauges[name].set(value, dict(tags))

    def _renew(self) -> None:
        for (name, tags), value in list(self._values.items()):
            self._gauges[name].set(value, dict(tags))


class MeasuredGenerator:
    """A process's generator, whose speed and memory are reported. Several threads may call it.

    `model`: name of the base, or of what stands in its place.
    """

    def __init__(self, model: str, generator: str) -> None:
        self._kept = KeptGenerator()
        self._ended = 0.0  # when the latest batch was done
        self._tags = {"model": model, "generator": generator}
        self._gauges = Gauges(HOST_GAUGES, dict.fromkeys(HOST_GAUGES, HOST_TAGS))

    def generate(self, job: GenerateJob, requests: Sequence[GenerationRequest], progress: ProgressFile) -> Generated:
        began = time.monotonic()
        result = self._kept.generate(job, requests, progress.touch, progress.note)
        ended = time.monotonic()
        self._record(result.completions, ended - max(began, self._ended))
        self._ended = ended
        return result

    def edit(self, run: EditRun, progress: ProgressFile) -> dict[str, Any]:
        return self._kept.edit(run, progress.touch)

    def _record(self, completions: Sequence[Completion], seconds: float) -> None:
        values = {f"raysweep_{name}": value for name, value in self._kept.state().items()}
        values["raysweep_tokens_per_second"] = sum(row.tokens for row in completions) / max(seconds, 1e-9)
        values["raysweep_host_memory_bytes"] = resident_bytes()
        for name in values.keys() & HOST_GAUGES.keys():
            self._gauges.set(name, values[name], self._tags)


def waiting_gauge() -> Any:
    """Return the gauge of batches that wait for a host, with the tags `model` and `generator`."""
    from ray.util.metrics import Gauge

    return Gauge(WAITING, "batches that wait for a host of their base", HOST_TAGS)
