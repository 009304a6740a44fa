"""The in-process twin of the Ray engine: the same stages, one after the other, without Ray."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from raysweep.engine.base import Block, Engine, ExecuteJob, GenerateJob, PerturbJob, Stages, Task, TrainWork
from raysweep.engine.checkpoints import TrainingServices
from raysweep.errors import last_line
from raysweep.execution.pool import Executor
from raysweep.generators.base import GENERATORS, Generator
from raysweep.programs import Verdict
from raysweep.progress import ProgressFile
from raysweep.records import Completion, PerturbedRow, SourceRow
from raysweep.storage.store import Store
from raysweep.tables import ROWS, read_block
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.perturbing import perturb_rows, perturber_of

log = logging.getLogger("raysweep")


class LocalStages(Stages):
    """Everything in this process, programs apart: those always run in interpreters of their own."""

    def train(self, work: TrainWork, progress: ProgressFile) -> dict[str, Any]:
        """Train here, with one worker."""
        return work.run(TrainingServices(work.work, progress))

    def perturb(self, job: PerturbJob, progress: ProgressFile) -> Iterator[Block[Sequence[PerturbedRow]]]:
        """Perturb here, block by block."""
        for at in job.blocks:
            yield Block(at, perturbed_block(job, at))

    def generate(self, job: GenerateJob, progress: ProgressFile) -> Iterator[Block[Completion]]:
        """Generate here, batch by batch."""
        generator = make_generator(job)
        for at, batch in enumerate(job.batches):
            yield Block(at, generator.generate(batch))

    def execute(self, job: ExecuteJob, progress: ProgressFile) -> Iterator[Block[Verdict]]:
        """Run programs on as many slots as this process has CPUs; none of them waits for the end of a batch."""
        work = (
            ((at, place), program, limits)
            for at, batch in enumerate(job.batches)
            for place, (program, limits) in enumerate(zip(batch.programs, batch.limits, strict=True))
        )
        made: dict[int, dict[int, Verdict]] = defaultdict(dict)
        with Executor(len(os.sched_getaffinity(0)), job.sandbox) as executor:
            for (at, place), verdict in executor.stream(work):
                made[at][place] = verdict
                if len(made[at]) == len(job.batches[at].programs):
                    rows = made.pop(at)
                    yield Block(at, [rows[place] for place in sorted(rows)])


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
                errors[task.id] = last_line(error)
                if self.settings.fail_fast:
                    break
        return errors


def perturbed_block(job: PerturbJob, at: int) -> list[Sequence[PerturbedRow]]:
    """Return a block's rows after each method of a job.

    Raises:
        StoreError: the source's rows are damaged.
    """
    source = SOURCES.create(job.source)
    rows = read_block(Store(job.storage, expected=True).use(job.rows) / ROWS, SourceRow, at)
    return perturb_rows(rows, source, [perturber_of(source, method, job.seed) for method in job.methods])


def make_generator(job: GenerateJob) -> Generator:
    """Build a job's generator, with its model on this machine; one that batches by itself takes the job's batch size.

    Raises:
        StoreError: the model is damaged.
    """
    own = {"batch_size": job.batch_size} if "batch_size" in GENERATORS.parameters(job.generator.name) else {}
    model = Store(job.storage, expected=True).located(job.model) if job.model else None
    return GENERATORS.create(job.generator, model=model, decoding=job.decoding, **own)
