"""Runs the stages through Ray: Train trains, Data perturbs and generates, actors execute."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from raysweep.engine.base import BatchOutput, ExecuteJob, GenerateJob, PerturbJob, Stages, TrainingRun
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster import Placement
from raysweep.engine.ray.execution import execute_with_ray
from raysweep.engine.ray.generation import generate_with_ray
from raysweep.engine.ray.perturbing import perturb_with_ray
from raysweep.engine.ray.training import train_with_ray
from raysweep.programs import Verdict
from raysweep.records import Completion, PerturbedRow

START_TIMEOUT = ("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "1e7")
"""Lets workers wait for hours while other cells hold their resources; by default Ray Train gives up after 60 s."""


class RayStages(Stages):
    """The stages of one task.

    Args:
        placement: resources of each process.
        generators: number of generation actors.
        executors: largest number of execution actors; None: as many as there is work for.
    """

    def __init__(self, placement: Placement, generators: int, executors: int | None) -> None:
        self._placement = placement
        self._generators = generators
        self._executors = executors

    def train(self, training: TrainingRun, progress: ProgressFile) -> dict[str, Any]:
        """Train through Ray Train."""
        os.environ.setdefault(*START_TIMEOUT)
        self._report_wait("training workers", training.workers, progress)
        return train_with_ray(training, progress, self._placement)

    def perturb(self, job: PerturbJob, progress: ProgressFile) -> Iterator[BatchOutput[Sequence[PerturbedRow]]]:
        """Perturb through Ray Data."""
        return perturb_with_ray(job, progress)

    def generate(self, job: GenerateJob, progress: ProgressFile) -> Iterator[BatchOutput[Completion]]:
        """Generate through Ray Data."""
        self._report_wait("generation actors", 1, progress)
        return generate_with_ray(job, self._placement, self._generators, progress)

    def execute(self, job: ExecuteJob, progress: ProgressFile) -> Iterator[BatchOutput[Verdict]]:
        """Execute through a pool of Ray actors."""
        if not self._placement.in_trial:
            progress.report_wait("1 execution actor with 1 CPU")
        return execute_with_ray(job, self._placement, self._executors, progress)

    def _report_wait(self, processes: str, number: int, progress: ProgressFile) -> None:
        """Report the processes that the task waits for, unless it works in its own process."""
        if not self._placement.in_trial:
            resources = ", ".join(f"{amount:g} {name}" for name, amount in self._placement.worker.items())
            progress.report_wait(f"{number} {processes} with {resources or 'nothing'} each")
