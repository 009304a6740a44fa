"""The stages of a cell through Ray: Train trains, Data perturbs and generates, actors execute."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from raysweep.engine.base import Block, ExecuteJob, GenerateJob, PerturbJob, Stages, TrainWork
from raysweep.engine.cluster import Placement
from raysweep.engine.execution import execute_with_ray
from raysweep.engine.generation import generate_with_ray
from raysweep.engine.perturbing import perturb_with_ray
from raysweep.engine.training import train_with_ray
from raysweep.programs import Verdict
from raysweep.progress import ProgressFile
from raysweep.records import Completion, PerturbedRow

PATIENT = ("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "1e7")
"""Workers wait for their resources while other cells hold them, which may take hours; Ray Train gives up after 60 s."""


class RayStages(Stages):
    """What a trial asks of Ray, with the resources of its sweep. `executors`: None: as many as are of use."""

    def __init__(self, placement: Placement, generators: int, executors: int | None) -> None:
        self._placement = placement
        self._generators = generators
        self._executors = executors

    def train(self, work: TrainWork, progress: ProgressFile) -> dict[str, Any]:
        """Train through Ray Train."""
        os.environ.setdefault(*PATIENT)
        self._wait_for("training workers", work.workers, progress)
        return train_with_ray(work, progress, self._placement)

    def perturb(self, job: PerturbJob, progress: ProgressFile) -> Iterator[Block[Sequence[PerturbedRow]]]:
        """Perturb through Ray Data."""
        return perturb_with_ray(job)

    def generate(self, job: GenerateJob, progress: ProgressFile) -> Iterator[Block[Completion]]:
        """Generate through Ray Data."""
        self._wait_for("generation actors", 1, progress)
        return generate_with_ray(job, self._placement, self._generators, progress)

    def execute(self, job: ExecuteJob, progress: ProgressFile) -> Iterator[Block[Verdict]]:
        """Execute through a pool of Ray actors."""
        if not self._placement.in_trial:
            progress.wait_for("1 execution actor with 1 CPU")
        return execute_with_ray(job, self._placement, self._executors, progress)

    def _wait_for(self, what: str, number: int, progress: ProgressFile) -> None:
        """Tell what is waited for, where it isn't this process that works."""
        if not self._placement.in_trial:
            asked = ", ".join(f"{amount:g} {name}" for name, amount in self._placement.worker.items())
            progress.wait_for(f"{number} {what} with {asked or 'nothing'} each")
