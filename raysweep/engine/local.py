"""The local engine runs all tasks in this process, one after the other, without Ray."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

from typing_extensions import override

from raysweep.engine.base import (
    BatchOutput,
    EditRun,
    Engine,
    ExecuteJob,
    GenerateJob,
    PerturbJob,
    Stages,
    Task,
    TrainingRun,
)
from raysweep.engine.checkpoints import TrainingServices
from raysweep.engine.jobs import Generated, KeptGenerator, batches_at_once, perturb_block
from raysweep.engine.progress import FAILED, ProgressFile
from raysweep.engine.services import ModelService
from raysweep.errors import last_line
from raysweep.execution.pool import Executor
from raysweep.programs import Sandbox, Verdict
from raysweep.records import Completion, PerturbedRow
from raysweep.storage.store import Store

log = logging.getLogger("raysweep")


class LocalStages(Stages):
    """Does all work in this process, except that programs always run in interpreters of their own.

    As a context manager it keeps the last generator, with its model, and the processes for programs until the block
    ends. Otherwise each call releases them at its end.

    `slots`: number of programs that run at a time; None: as many as this process has CPUs.
    """

    _slots: int | None = None
    _reuse = False
    _generator: KeptGenerator | None = None
    _executor: Executor | None = None

    def __init__(self, slots: int | None = None) -> None:
        self._slots = slots

    def __enter__(self) -> LocalStages:
        self._reuse = True
        return self

    def __exit__(self, *exception: object) -> None:
        self._reuse = False
        self._release()

    @override
    def train(self, training: TrainingRun, progress: ProgressFile) -> dict[str, Any]:
        store = Store(training.storage, expected=True)
        with LocalStages() as stages, ModelService(stages, store, progress, training.sandbox) as model_service:
            return training.train(TrainingServices(training.checkpoints, progress, model_service))

    @override
    def perturb(self, job: PerturbJob, progress: ProgressFile) -> Iterator[BatchOutput[Sequence[PerturbedRow]]]:
        for index in job.blocks:
            yield BatchOutput(index, perturb_block(job, index))

    def generate(self, job: GenerateJob, progress: ProgressFile) -> Iterator[BatchOutput[Completion]]:
        """Generate batch by batch; the next one is begun while the rows of one end."""
        self._generator = kept = self._generator or KeptGenerator()
        is_over = threading.Event()

        def alive() -> None:
            if is_over.is_set():
                raise CancelledError
            progress.touch()

        at_once = batches_at_once(job)
        with ThreadPoolExecutor(at_once) as threads:
            waiting, begun = iter(job.batches), deque[Future[Generated]]()
            try:
                for index in range(len(job.batches)):
                    for batch in itertools.islice(waiting, at_once - len(begun)):
                        begun.append(threads.submit(kept.generate, job, batch, alive, progress.note))
                    result = begun.popleft().result()
                    yield BatchOutput(index, result.completions, result.loads, result.facts, result.cpu_seconds)
            finally:
                is_over.set()
        if not self._reuse:
            self._release()

    @override
    def edit(self, run: EditRun, progress: ProgressFile) -> dict[str, Any]:
        self._generator = kept = self._generator or KeptGenerator()
        try:
            return kept.edit(run, progress.touch)
        finally:
            if not self._reuse:
                self._release()

    def execute(self, job: ExecuteJob, progress: ProgressFile) -> Iterator[BatchOutput[Verdict]]:
        """Run programs on as many slots as this process has CPUs; a slot need not wait until a batch is done."""
        programs = (
            ((index, position), program, limits)
            for index, batch in enumerate(job.batches)
            for position, (program, limits) in enumerate(zip(batch.programs, batch.limits, strict=True))
        )
        unfinished: dict[int, dict[int, Verdict]] = defaultdict(dict)
        try:
            with contextlib.closing(self._executor_for(job.sandbox).stream(programs)) as verdicts:
                for (index, position), verdict in verdicts:
                    unfinished[index][position] = verdict
                    if len(unfinished[index]) == len(job.batches[index].programs):
                        rows = unfinished.pop(index)
                        yield BatchOutput(index, [rows[position] for position in sorted(rows)])
        finally:
            if not self._reuse:
                self._release()

    def _executor_for(self, sandbox: Sandbox) -> Executor:
        if self._executor is None or self._executor.sandbox != sandbox:
            if self._executor is not None:
                self._executor.close()
            self._executor = Executor(self._slots or len(os.sched_getaffinity(0)), sandbox)
        return self._executor

    def _release(self) -> None:
        self._generator = None
        if self._executor is not None:
            self._executor.close()
            self._executor = None


class LocalEngine(Engine):
    """Runs tasks one after the other; an error in one does not stop the others."""

    @override
    def make_shared(self, tasks: Sequence[Task]) -> dict[str, str]:
        return self.run_cells(tasks)

    @override
    def run_cells(self, tasks: Sequence[Task]) -> dict[str, str]:
        errors: dict[str, str] = {}
        for task in tasks:
            blocked = next((name for name in task.after if name in errors), None)
            if blocked is not None:
                errors[task.id] = f"not started: {blocked} failed: {errors[blocked]}"
                ProgressFile(self.settings.folder.below("progress"), task.id).finish(FAILED, errors[task.id])
                continue
            try:
                task.run(LocalStages())
            except Exception as error:
                log.debug("%s failed", task.id, exc_info=True)
                errors[task.id] = last_line(error)
                if self.settings.fail_fast:
                    break
        return errors
