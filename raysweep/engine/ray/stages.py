"""Runs the stages through Ray: Train trains, Data perturbs and generates, actors execute."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from typing_extensions import override

from raysweep.engine.base import BatchOutput, EditRun, ExecuteJob, GenerateJob, PerturbJob, Stages, TrainingRun
from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster.cluster import Placement, Placements
from raysweep.engine.ray.cluster.cordons import excusing_cordons
from raysweep.engine.ray.execution import execute_with_ray
from raysweep.engine.ray.hosts.generation import edit_with_ray, generate_with_ray
from raysweep.engine.ray.numbers import meter
from raysweep.engine.ray.perturbing import perturb_with_ray
from raysweep.engine.ray.training import train_with_ray
from raysweep.programs import Verdict
from raysweep.records import Completion, PerturbedRow
from raysweep.units import count

TRAIN_SETTINGS = {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "1e7", "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5"}
"""Ray Train's settings, unless the environment has others. Workers may wait for hours while other cells hold their
resources, where Train gives up after 60 s. Train fetches reports more often than every 2 s: a worker that reports waits
until its last report was fetched, and a training ends when its end is seen."""

R = TypeVar("R")


@dataclass(frozen=True)
class RayStages(Stages):
    """The stages of one task, which report what they make to Ray's metrics.

    `keeper`: of the hosts of the sweep's cells, or of the tasks that cells share; None: the task generates nothing.
    """

    placed: Placements
    generators: int  # generation actors
    executors: int | None  # most execution actors; None: as many as there is work for
    keeper: Any = None
    model: str = ""  # name of the base, for metrics
    recipe: str = ""  # its name, for metrics
    is_capped: bool = False  # no stage with GPUs begins once the sweep has used its GPU-hours

    def on(self, pool: str) -> RayStages:
        return replace(self, placed=self.placed.on(pool))

    @override
    def train(self, training: TrainingRun, progress: ProgressFile) -> dict[str, Any]:
        for name, value in TRAIN_SETTINGS.items():
            os.environ.setdefault(name, value)
        placed, cell = self.placed.training, progress.activity.id
        tags = {"model": self.model, "recipe": self.recipe}
        is_capped = self._require_gpu_hours("training", placed)
        _report_wait("training worker", training.workers, placed, progress)
        with self.training_places(cell, training.workers), self._excusing_cordons(progress):
            return train_with_ray(training, progress, placed, tags, is_capped=is_capped)

    @contextmanager
    def training_places(self, cell: str, workers: int) -> Iterator[None]:
        """A trial that trains in its own process, and a shared task, hold what they need from their start."""
        import ray

        placed = self.placed.training
        if placed.in_trial or self.keeper is None:
            yield
            return
        ray.get(self.keeper.take.remote(cell, placed, workers))
        try:
            yield
        finally:
            self.keeper.give_back.remote(cell)

    @override
    def perturb(self, job: PerturbJob, progress: ProgressFile) -> Iterator[BatchOutput[Sequence[PerturbedRow]]]:
        def report(output: BatchOutput[Sequence[PerturbedRow]]) -> None:
            for method, rows in zip(job.methods, output.rows, strict=True):
                meter.report("raysweep_perturbed_rows", len(rows), method=method.name)

        return self._reported(perturb_with_ray(job, progress), report, progress)

    def generate(self, job: GenerateJob, progress: ProgressFile) -> Iterator[BatchOutput[Completion]]:
        """Generate through Ray Data and hosts, or in this process if it holds a GPU, which others can't have then."""

        def report(output: BatchOutput[Completion]) -> None:
            tags = {"model": self.model, "generator": job.generator.name}
            meter.report("raysweep_completions", len(output.rows), **tags)
            meter.report("raysweep_tokens", sum(row.tokens for row in output.rows), **tags)
            meter.report("raysweep_models_loaded", output.loads, **tags)

        placed = self.placed.generation
        if self.keeper is not None and not self.placed.in_trial:  # one that died while it trained has a place still
            self.keeper.give_back.remote(progress.activity.id)
        is_capped = self._require_gpu_hours("generation", placed)
        if placed.in_trial and self.placed.training.gpus:
            return self._reported(LocalStages().generate(job, progress), report, progress)
        _report_wait("generation process", 1, placed, progress)
        results = generate_with_ray(job, placed, self.generators, progress, self.keeper, is_capped=is_capped)
        return self._reported(results, report, progress)

    def edit(self, run: EditRun, progress: ProgressFile) -> dict[str, Any]:
        """Have a host of the base edit it, or this process if it holds a GPU, which others can't have then."""
        placed = self.placed.generation
        is_capped = self._require_gpu_hours("editing", placed)
        if placed.in_trial and self.placed.training.gpus:
            return LocalStages().edit(run, progress)
        _report_wait("editing process", 1, placed, progress)
        with self._excusing_cordons(progress):
            return edit_with_ray(run, placed, progress, self.keeper, is_capped=is_capped)

    @override
    def execute(self, job: ExecuteJob, progress: ProgressFile) -> Iterator[BatchOutput[Verdict]]:
        import ray

        placed = self.placed.execution
        if not placed.in_trial:
            if self.keeper is not None:
                self.keeper.executing.remote(progress.activity.id)
            _report_wait("execution actor", 1, placed, progress)
            if self.keeper is not None and not self.placed.in_trial:
                free = ray.available_resources()
                if any(free.get(name, 0) < amount for name, amount in placed.amounts.items()):
                    self.keeper.make_room.remote()

        def report(output: BatchOutput[Verdict]) -> None:
            for verdict, number in Counter(row.outcome.value for row in output.rows).items():
                meter.report("raysweep_programs", number, verdict=verdict)

        return self._reported(execute_with_ray(job, placed, self.executors, progress), report, progress)

    @override
    def count_reused(self, what: str, number: int) -> None:
        meter.report("raysweep_reused", number, what=what)

    def _reported(
        self,
        outputs: Iterator[BatchOutput[R]],
        report: Callable[[BatchOutput[R]], None],
        progress: ProgressFile,
    ) -> Iterator[BatchOutput[R]]:
        with self._excusing_cordons(progress):
            for output in outputs:
                report(output)
                yield output

    def _excusing_cordons(self, progress: ProgressFile) -> AbstractContextManager[None]:
        return excusing_cordons(progress, is_here=self.placed.in_trial)

    def _require_gpu_hours(self, stage: str, placed: Placement) -> bool:
        """Return True if a stage may use GPU-hours of a cap; raise Stopped if none are left."""
        is_capped = self.is_capped and (self.placed.training if placed.in_trial else placed).gpus > 0
        if is_capped:
            meter.require_gpu_hours(stage)
        return is_capped


def _report_wait(process: str, number: int, placed: Placement, progress: ProgressFile) -> None:
    if not placed.in_trial:
        progress.report_wait(f"{count(number, process)} with {placed.in_words}{' each' if number > 1 else ''}")
