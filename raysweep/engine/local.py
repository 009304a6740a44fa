"""The in-process twin of the Ray engine: the same stages, one after the other, without Ray."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raysweep.engine.base import Engine, GenerateJob, Stages, Task, Tell
from raysweep.engine.checkpoints import TrainingServices
from raysweep.execution.pool import Executor
from raysweep.generators.base import GENERATORS, Generator
from raysweep.records import Completion, Limits, Program, Verdict
from raysweep.trainers.base import TRAINERS, TrainJob

log = logging.getLogger("raysweep")


class LocalStages(Stages):
    """Everything in this process, programs apart: those always run in interpreters of their own."""

    def train(self, job: TrainJob, work: Path, tell: Tell) -> dict[str, Any]:
        """Train here, with one worker."""
        return TRAINERS.get(job.recipe.trainer)().train(job, TrainingServices(work, tell))

    def generate(self, job: GenerateJob, tell: Tell) -> list[Completion]:
        """Generate here, batch by batch."""
        generator = make_generator(job)
        made: list[Completion] = []
        for batch in batches(job):
            made += generator.generate(batch)
            tell(len(made), len(job.requests), "")
        return made

    def execute(self, programs: Sequence[Program], limits: Limits, tell: Tell) -> list[Verdict]:
        """Run programs on as many slots as this process has CPUs."""
        with Executor(slots=len(os.sched_getaffinity(0))) as executor:
            return executor.run(programs, limits, lambda done: tell(done, len(programs), ""))


class LocalEngine(Engine):
    """Tasks one after the other; an error in one does not stop the others."""

    def make_shared(self, tasks: Sequence[Task]) -> dict[str, str]:
        """Run the tasks in order, those after a failed one left out."""
        return self._run(tasks)

    def run_cells(self, tasks: Sequence[Task]) -> dict[str, str]:
        """Run the cells in order."""
        return self._run(tasks)

    def _run(self, tasks: Sequence[Task]) -> dict[str, str]:
        errors: dict[str, str] = {}
        for task in tasks:
            blocked = next((name for name in task.after if name in errors), None)
            if blocked is not None:
                errors[task.id] = f"not started, since {blocked} failed"
                continue
            try:
                task.run(LocalStages())
            except Exception as error:
                log.debug("%s failed", task.id, exc_info=True)
                errors[task.id] = f"{type(error).__name__}: {error}"
        return errors


def make_generator(job: GenerateJob) -> Generator:
    """Build a job's generator; one that batches by itself takes the job's batch size."""
    own = {"batch_size": job.batch_size} if "batch_size" in GENERATORS.parameters(job.generator.name) else {}
    return GENERATORS.create(job.generator, model=job.model, decoding=job.decoding, **own)


def batches(job: GenerateJob) -> list[Sequence[Any]]:
    """Cut a job's requests into batches of like length (they come sorted)."""
    return [job.requests[at : at + job.batch_size] for at in range(0, len(job.requests), job.batch_size)]
