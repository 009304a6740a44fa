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
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.attempts import run_periodically
from raysweep.engine.base import GenerateJob
from raysweep.engine.jobs import Generated, KeptGenerator
from raysweep.engine.ledger import Ledger, spent_text
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster.nodes import driver_labels, nodes_by_id
from raysweep.engine.ray.cluster.ray_lost import end_with_raylet
from raysweep.errors import RaysweepError, Stopped, StoreError, last_line
from raysweep.machine import resident_bytes
from raysweep.records import Completion, GenerationRequest, TrainingStep
from raysweep.storage.files import Files

log = logging.getLogger("raysweep")

_METERS: dict[str, Any] = {}
"""The handle of the meter that this process reports to, by its name."""
_LATEST: list[Any] = []
"""A reference to this process's latest report."""
COUNTER, GAUGE = "counter", "gauge"
RENEW_SECONDS = 1.0
"""Ray exports a gauge once after it was set, and drops it 20 s later; so gauges are set again after so long."""
END_SECONDS = 60.0
"""So long a sweep waits, at most, for the meter of the sweep before to end. That takes part of a second."""
FLUSH_SECONDS = 10.0
"""So long a process waits at its end, at most, for a meter that has not started yet."""
HELD_SECONDS = 5.0
"""A process that holds CPUs or GPUs reports it so often. One that is killed loses as much at most."""
LEDGER_SECONDS = 10.0
"""The ledger is written with the first report after so long. When the meter is killed, it loses what came since."""
STORAGE_SECONDS = 5.0
"""Time between two attempts to read a ledger whose storage is away."""
NO_TASK = ""


@dataclass(frozen=True)
class Metric:
    """A metric of a whole sweep. Beside its tags it has the tag `sweep`, the sweep's name."""

    kind: str  # counter | gauge
    tags: tuple[str, ...]
    text: str


TRAINING_TAGS = ("model", "recipe")
HOST_TAGS = ("model", "generator")
METRICS = {
    "raysweep_cells": Metric(GAUGE, ("state",), "cells in a state"),
    "raysweep_inputs": Metric(GAUGE, ("state",), "inputs that cells share, in a state"),
    "raysweep_seconds_left": Metric(GAUGE, (), "estimated seconds until the sweep ends"),
    "raysweep_training_tokens": Metric(COUNTER, TRAINING_TAGS, "tokens trained on, without padding"),
    "raysweep_training_loss": Metric(GAUGE, TRAINING_TAGS, "mean loss, as a training of theirs reported last"),
    "raysweep_training_mfu": Metric(GAUGE, TRAINING_TAGS, "model FLOPs utilisation, reported last"),
    "raysweep_training_memory_bytes": Metric(GAUGE, TRAINING_TAGS, "most memory of the first worker, reported last"),
    "raysweep_completions": Metric(COUNTER, HOST_TAGS, "completions written"),
    "raysweep_tokens": Metric(COUNTER, HOST_TAGS, "tokens of completions"),
    "raysweep_models_loaded": Metric(COUNTER, HOST_TAGS, "whole models loaded"),
    "raysweep_programs": Metric(COUNTER, ("verdict",), "programs executed"),
    "raysweep_perturbed_rows": Metric(COUNTER, ("method",), "rows perturbed"),
    "raysweep_reused": Metric(COUNTER, ("what",), "completions or programs that were in the store"),
    "raysweep_cpu_seconds": Metric(COUNTER, (), "seconds of a CPU that processes of the sweep held"),
    "raysweep_gpu_seconds": Metric(COUNTER, (), "seconds of a GPU that processes of the sweep held"),
}
HOST_GAUGES = {
    "raysweep_tokens_per_second": "tokens of the latest batch by the seconds since the batch before was done",
    "raysweep_batch_tokens": "most tokens that a model holds at a time, now",
    "raysweep_cache_share": "share of those that are in use, when rows were last taken in",
    "raysweep_host_memory_bytes": "resident memory of a process that generates",
}
WAITING = "raysweep_batches_waiting"


class Gauges:
    """Gauges that keep their values until the process ends.

    Args:
        texts: what each is, by name.
        tags: of each, by name.
    """

    def __init__(self, texts: Mapping[str, str], tags: Mapping[str, tuple[str, ...]]) -> None:
        from ray.util.metrics import Gauge

        self._gauges = {name: Gauge(name, text, tags[name]) for name, text in texts.items()}
        self._values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self._renewing = contextlib.ExitStack()
        self._renewing.enter_context(run_periodically(self._renew, RENEW_SECONDS, "gauges"))

    def set(self, name: str, value: float, tags: Mapping[str, str]) -> None:
        """Set a gauge; NaN, an unknown number, ends its series."""
        series = name, frozenset(tags.items())
        if math.isnan(value):
            self._values.pop(series, None)
        else:
            self._values[series] = value
            self._gauges[name].set(value, dict(tags))

    def _renew(self) -> None:
        for (name, tags), value in list(self._values.items()):
            self._gauges[name].set(value, dict(tags))


class Meter:
    """Owns the metrics and the ledger of a sweep; runs as an actor.

    Args:
        sweep: its name.
        folder: its folder.
        max_gpu_hours: that the sweep may use in all its runs; None: any number.
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
        """Add `value` to a counter, or set a gauge to it."""
        tagged = {**tags, "sweep": self._sweep}
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
        """Write the ledger."""
        self._ledger.write()
        self._written = time.monotonic()

    def gpu_hours(self, task: str) -> float:
        """Return the GPU-hours that a task has used, in all runs of the sweep."""
        return self._ledger.hours(task)

    def spent(self) -> str:
        """Say that the sweep has used the GPU-hours that it may use; empty while it has not."""
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
    """Have a `Meter` for the sweep of this process's Ray job while the block runs."""
    import ray

    name = _meter_name()
    _METERS[name] = meter = _start_meter(name, sweep, folder, max_gpu_hours)
    try:
        yield
    finally:
        _METERS.clear()
        with contextlib.suppress(Exception):  # Ray itself may have ended; the meter wrote some seconds ago
            ray.get(meter.write_ledger.remote(), timeout=FLUSH_SECONDS)


def _start_meter(name: str, *arguments: Any) -> Any:
    """Start a meter, when that of this job's sweep before, which sends its last numbers, has given the name back."""
    import ray

    options: dict[str, Any] = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 0}
    options["label_selector"] = driver_labels(nodes_by_id().values())
    until = time.monotonic() + END_SECONDS
    while True:
        try:
            return ray.remote(Meter).options(name=name, **options).remote(*arguments)
        except ValueError:  # Ray's error for a name that is taken
            if time.monotonic() > until:
                raise
        time.sleep(0.1)


def report(name: str, value: float, **tags: str) -> None:
    """Add to a counter of `METRICS`, or set a gauge (NaN: unknown), from any process; without a meter do nothing."""
    with contextlib.suppress(Exception):  # such as Ray being about to end; no result depends on metrics
        _LATEST[:] = [_meter().report.remote(name, value, tags)]


def gpu_hours(task: str) -> float:
    """Return the GPU-hours that a task has used, in all runs of the sweep; 0 without a meter."""
    with contextlib.suppress(Exception):  # such as a meter that can't be started again; the task has done its work
        return float(_answer("gpu_hours", task))
    return 0.0


def spent() -> str:
    """Say that a sweep with a cap has used the GPU-hours that it may use; empty while it has not.

    Raises:
        RaysweepError: the meter doesn't answer.
    """
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
    """Return what the meter answers, which Ray may have to start again before."""
    import ray

    until = time.monotonic() + END_SECONDS
    while True:
        try:
            return ray.get(getattr(_meter(), question).remote(*arguments), timeout=END_SECONDS)
        except ray.exceptions.RayActorError:
            if time.monotonic() > until:
                raise
        time.sleep(0.5)


def _meter() -> Any:
    """Return the meter's handle; raise ValueError if there is none."""
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
    """Return a name that the processes of one job agree on."""
    import ray

    return f"meter-{ray.get_runtime_context().get_job_id()}"


def report_step(step: TrainingStep, tags: Mapping[str, str]) -> None:
    """Report a training's progress. `tags`: `TRAINING_TAGS`."""
    report("raysweep_training_tokens", step.new_tokens, **tags)
    report("raysweep_training_loss", step.loss, **tags)
    report("raysweep_training_memory_bytes", step.memory_bytes, **tags)
    report("raysweep_training_mfu", math.nan if step.mfu is None else step.mfu, **tags)


class HeldResources:
    """The CPUs and GPUs that Ray gave to this process or task. Several threads may use it.

    What a meter didn't get, since it was being started again, is reported once more.
    """

    def __init__(self, task: str) -> None:
        import ray

        self._held: Mapping[str, float] = {}
        self._accelerator = ""
        with contextlib.suppress(AssertionError):  # a process that Ray didn't start holds nothing
            context = ray.get_runtime_context()
            self._held = context.get_assigned_resources()
            self._accelerator = context.get_node_labels().get(ACCELERATOR_LABEL, "")
        self._held = {name: held for name, held in self._held.items() if name in ("CPU", "GPU")}
        self._tasks = [task] if task else []
        self._lock = threading.Lock()
        self._since = time.monotonic()
        self._to_send: list[tuple[float, list[str]]] = []  # seconds, and the tasks that they were for
        self._sent: list[tuple[Any, tuple[float, list[str]]]] = []  # with Ray's reference to the answer

    def report(self) -> None:
        """Report what was held since the last report."""
        with self._lock, contextlib.suppress(Exception):  # such as Ray being about to end
            now = time.monotonic()
            if self._held:
                self._to_send.append((now - self._since, list(self._tasks)))
            self._since = now
            self._take_back()
            while self._to_send:
                seconds, tasks = self._to_send[0]
                _LATEST[:] = [_meter().use.remote(self._held, seconds, tasks, self._accelerator)]
                self._sent.append((_LATEST[0], self._to_send.pop(0)))

    def _take_back(self) -> None:
        """Have sent again what did not arrive."""
        import ray

        waiting = []
        for answer, part in self._sent:
            if not ray.wait([answer], timeout=0)[0]:
                waiting.append((answer, part))
                continue
            try:
                ray.get(answer)
            except ray.exceptions.RayError:
                self._to_send.append(part)
        self._sent = waiting

    @contextlib.contextmanager
    def working_for(self, task: str) -> Iterator[None]:
        """Report what is held during the block as used by a task; all of it has arrived when the block ends."""
        self.report()
        self._tasks.append(task)
        try:
            yield
        finally:
            self.report()
            self._tasks.remove(task)
            flush()


@contextlib.contextmanager
def held_resources(task: str) -> Iterator[HeldResources]:
    """Report the CPUs and GPUs that Ray gave to this process or task for as long as the block runs.

    When the block ends, all that this process has reported has arrived, so the process may end.

    Args:
        task: that uses them; empty if only parts of the block are for some task (`HeldResources.working_for`).
    """
    held = HeldResources(task)
    with run_periodically(held.report, HELD_SECONDS, "held resources"):
        try:
            yield held
        finally:
            held.report()
            flush()


class MeasuredGenerator:
    """A process's generator, whose speed and memory are reported. Several threads may call it.

    Args:
        model: name of the base, or of what stands in its place.
        generator: name of the generator.
    """

    def __init__(self, model: str, generator: str) -> None:
        self._kept = KeptGenerator()
        self._ended = 0.0  # when the latest batch was done
        self._tags = {"model": model, "generator": generator}
        self._gauges = Gauges(HOST_GAUGES, dict.fromkeys(HOST_GAUGES, HOST_TAGS))

    def generate(self, job: GenerateJob, requests: Sequence[GenerationRequest], progress: ProgressFile) -> Generated:
        """See `KeptGenerator.generate`."""
        began = time.monotonic()
        made = self._kept.generate(job, requests, progress.touch, progress.note)
        ended = time.monotonic()
        self._record(made.completions, ended - max(began, self._ended))
        self._ended = ended
        return made

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
