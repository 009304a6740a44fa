"""Reports numbers about every stage to Ray's metrics, which its dashboard and Prometheus read.

Ray puts ``ray_`` before a name and ``_total`` after a counter's, and keeps one series for each process that reports.
The processes of a sweep come and go: a counter of theirs would begin with its first number, which `rate()` does not
see, and its series would stay for as long as Ray runs. So all of them report to one actor, `Meter`, which lives as long
as the sweep and owns the metrics in `METRICS`. It also writes the ledger of GPU-hours (`raysweep.engine.ledger`). The
gauges in `HOST_GAUGES` describe a process, and belong to it.

No tag names a cell, so a metric has few series, however many cells a sweep has.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from raysweep.engine.ledger import Ledger, spent_text
from raysweep.engine.ray.cluster.nodes import present_driver_labels
from raysweep.engine.ray.cluster.ray_lost import end_with_raylet
from raysweep.engine.ray.numbers.gauges import HOST_TAGS, Gauges, in_ascii
from raysweep.errors import RaysweepError, Stopped, StoreError, last_line
from raysweep.records import TrainingStep
from raysweep.storage.files import Files

log = logging.getLogger("raysweep")
_METERS: dict[str, Any] = {}
"""The handle of the meter that this process reports to, by its name."""
_LATEST: list[Any] = []
"""A reference to this process's latest report."""
COUNTER, GAUGE = "counter", "gauge"
END_SECONDS = 60.0
"""So long a sweep waits, at most, for the meter of the sweep before to end. That takes part of a second."""
FLUSH_SECONDS = 10.0
"""So long a process waits at its end, at most, for a meter that has not started yet."""
LEDGER_SECONDS = 10.0
"""The ledger is written with the first report after so long. When the meter is killed, it loses what came since."""
STORAGE_SECONDS = 5.0
"""Time between two attempts to read a ledger whose storage is away."""
NO_TASK = ""


@dataclass(frozen=True)
class SweepMetric:
    """A metric of a whole sweep. Beside its tags it has the tag `sweep`, the sweep's name."""

    kind: str  # counter | gauge
    tags: tuple[str, ...]
    text: str


TRAINING_TAGS = ("model", "recipe")
METRICS = {
    "raysweep_training_tokens": SweepMetric(COUNTER, TRAINING_TAGS, "tokens trained on, without padding"),
    "raysweep_training_loss": SweepMetric(GAUGE, TRAINING_TAGS, "mean loss, as a training of theirs reported last"),
    "raysweep_training_mfu": SweepMetric(GAUGE, TRAINING_TAGS, "model FLOPs utilisation, reported last"),
    "raysweep_training_memory_bytes": SweepMetric(
        GAUGE, TRAINING_TAGS, "most memory of the first worker, reported last"
    ),
    "raysweep_completions": SweepMetric(COUNTER, HOST_TAGS, "completions written"),
    "raysweep_tokens": SweepMetric(COUNTER, HOST_TAGS, "tokens of completions"),
    "raysweep_models_loaded": SweepMetric(COUNTER, HOST_TAGS, "whole models loaded"),
    "raysweep_programs": SweepMetric(COUNTER, ("verdict",), "programs executed"),
    "raysweep_perturbed_rows": SweepMetric(COUNTER, ("method",), "rows perturbed"),
    "raysweep_reused": SweepMetric(COUNTER, ("what",), "completions or programs that were in the store"),
    "raysweep_cpu_seconds": SweepMetric(COUNTER, (), "seconds of a CPU that processes of the sweep held"),
    "raysweep_gpu_seconds": SweepMetric(COUNTER, (), "seconds of a GPU that processes of the sweep held"),
}


class Meter:
    """Owns the metrics and the ledger of a sweep; runs as an actor.

    `max_gpu_hours`: that the sweep may use in all its runs; None: any number.
    """

    def __init__(self, sweep: str, folder: Files, max_gpu_hours: float | None = None) -> None:
        from ray.util.metrics import Counter

        end_with_raylet()
        self._sweep, self._max_gpu_hours = sweep, max_gpu_hours
        self._ledger = _ledger_of(folder)
        self._written = time.monotonic()
        tags = {name: ("sweep", *metric.tags) for name, metric in METRICS.items()}
        counters = {name: metric.text for name, metric in METRICS.items() if metric.kind == COUNTER}
        self._counters = {name: Counter(name, text, tags[name]) for name, text in counters.items()}
        self._gauges = Gauges({name: m.text for name, m in METRICS.items() if m.kind == GAUGE}, tags)

    def report(self, name: str, value: float, tags: Mapping[str, str]) -> None:
        tagged = {tag: in_ascii(of) for tag, of in {**tags, "sweep": self._sweep}.items()}
        if name not in self._counters:
            self._gauges.set(name, value, tagged)
        elif value > 0:  # Ray refuses 0
            self._counters[name].inc(value, tagged)

    def use(self, held: Mapping[str, float], seconds: float, tasks: Sequence[str], accelerator: str) -> None:
        """Add up what a process held for so many seconds; its tasks, or none, bear equal parts of its GPUs."""
        for resource in ("CPU", "GPU"):
            self.report(f"raysweep_{resource.lower()}_seconds", held.get(resource, 0.0) * seconds, {})
        gpu_seconds = held.get("GPU", 0.0) * seconds
        for task in (tasks or [NO_TASK]) if gpu_seconds else ():
            self._ledger.add(task, accelerator, gpu_seconds / max(1, len(tasks)))
        if time.monotonic() - self._written > LEDGER_SECONDS:
            self.write_ledger()

    def write_ledger(self) -> None:
        self._ledger.write()
        self._written = time.monotonic()

    def gpu_hours(self, task: str) -> float:
        return self._ledger.hours(task)

    def spent(self) -> str:
        return spent_text(self._ledger, self._max_gpu_hours)


def _ledger_of(folder: Files) -> Ledger:
    """Return a sweep's ledger once its storage can be read: Ray doesn't start an actor again that failed to begin."""
    while True:
        try:
            return Ledger(folder)
        except StoreError as error:
            log.debug("the ledger of GPU-hours can't be read yet: %s", error)
        time.sleep(STORAGE_SECONDS)


@contextlib.contextmanager
def running_meter(sweep: str, folder: Files, max_gpu_hours: float | None = None) -> Iterator[None]:
    import ray

    name = _meter_name()
    options: dict[str, Any] = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 0}
    options["label_selector"] = present_driver_labels()
    is_taken = retry_if_exception_type(ValueError)  # Ray's error for a name that is taken
    retrying = Retrying(retry=is_taken, stop=stop_after_delay(END_SECONDS), wait=wait_fixed(0.1), reraise=True)
    start = ray.remote(Meter).options(name=name, **options).remote
    _METERS[name] = meter = retrying(start, sweep, folder, max_gpu_hours)
    try:
        yield
    finally:
        _METERS.clear()
        with contextlib.suppress(Exception):  # Ray itself may have ended; the meter wrote some seconds ago
            ray.get(meter.write_ledger.remote(), timeout=FLUSH_SECONDS)


def report(name: str, value: float, **tags: str) -> None:
    """Add to a counter of `METRICS`, or set a gauge (NaN: unknown), from any process; without a meter do nothing."""
    with contextlib.suppress(Exception):  # such as Ray being about to end; no result depends on metrics
        _LATEST[:] = [_meter().report.remote(name, value, tags)]


def use(held: Mapping[str, float], seconds: float, tasks: Sequence[str], accelerator: str) -> Any:
    """Report what this process held (see `Meter.use`); return Ray's reference. Raise ValueError without a meter."""
    _LATEST[:] = [_meter().use.remote(held, seconds, tasks, accelerator)]
    return _LATEST[0]


def gpu_hours(task: str) -> float:
    """Return the GPU-hours that a task has used, in all runs of the sweep; 0 without a meter."""
    with contextlib.suppress(Exception):  # such as a meter that can't be started again; the task has done its work
        return float(_answer("gpu_hours", task))
    return 0.0


def spent() -> str:
    """Say that a sweep with a cap has used its GPU-hours, else "". Raise RaysweepError if the meter doesn't answer."""
    import ray

    try:
        return str(_answer("spent"))
    except (ValueError, ray.exceptions.RayError) as error:  # ValueError: there is no meter any more
        why = last_line(error)
        raise RaysweepError(f"nobody says how many GPU-hours the sweep has used ({why}); run it again") from error


def require_gpu_hours(stage: str) -> None:
    """Raise Stopped before a stage that needs GPUs if a sweep with a cap has used its GPU-hours."""
    if reason := spent():
        raise Stopped(f"stopped before its {stage}, since {reason}")


def _answer(question: str, *arguments: Any) -> Any:
    import ray

    has_ended = retry_if_exception_type(ray.exceptions.RayActorError)
    retrying = Retrying(retry=has_ended, stop=stop_after_delay(END_SECONDS), wait=wait_fixed(0.5), reraise=True)
    return retrying(lambda: ray.get(getattr(_meter(), question).remote(*arguments), timeout=END_SECONDS))


def _meter() -> Any:
    import ray

    name = _meter_name()
    if name not in _METERS:
        _METERS[name] = ray.get_actor(name)
    return _METERS[name]


def flush() -> None:
    """Wait until this process's reports have arrived; they do in order."""
    import ray

    with contextlib.suppress(Exception):
        ray.wait(_LATEST, timeout=FLUSH_SECONDS)


def _meter_name() -> str:
    import ray

    return f"meter-{ray.get_runtime_context().get_job_id()}"


def report_step(step: TrainingStep, tags: Mapping[str, str]) -> None:
    report("raysweep_training_tokens", step.new_tokens, **tags)
    report("raysweep_training_loss", step.loss, **tags)
    report("raysweep_training_memory_bytes", step.memory_bytes, **tags)
    report("raysweep_training_mfu", math.nan if step.mfu is None else step.mfu, **tags)
