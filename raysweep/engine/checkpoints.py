"""The one report and checkpoint shim of training: the same in a trial's process, in worker processes and locally.

Checkpoints are folders ``step-000123`` in the artefact's work folder; a file ``COMPLETE`` in it is written last. The
newest complete one is kept, so a killed training loses at most one interval.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from raysweep.engine.base import Tell
from raysweep.records import Completion, Decoding, GenerationRequest, Limits, ModelRef, Program, TrainingStep, Verdict

COMPLETE = "COMPLETE"


class TrainingServices:
    """`raysweep.trainers.base.Services` over a work folder that all workers see."""

    def __init__(self, work: Path, tell: Tell, *, rank: int = 0, world_size: int = 1) -> None:
        self.rank = rank
        self.world_size = world_size
        self._work = work
        self._tell = tell

    def report(self, step: TrainingStep) -> None:
        """Tell progress; only rank 0 is heard."""
        if self.rank == 0:
            self._tell(step.step, step.total_steps, f"loss {step.loss:.3f}")

    def save_checkpoint(self, step: int, write: Callable[[Path], None]) -> None:
        """Commit a checkpoint, then drop the older ones."""
        if self.rank != 0:
            return
        folder = self._work / f"step-{step:08d}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write(folder)
        (folder / COMPLETE).write_text(uuid.uuid4().hex)
        for other in self._checkpoints():
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)

    def latest_checkpoint(self) -> Path | None:
        """Return the newest complete checkpoint."""
        return max(self._checkpoints(), default=None)

    def generate(self, model: ModelRef, requests: Sequence[GenerationRequest], decoding: Decoding) -> list[Completion]:
        """Generate in this process with the transformers generator."""
        from raysweep.generators.base import GENERATORS

        return GENERATORS.get("transformers")(model, decoding).generate(requests)

    def execute(self, programs: Sequence[Program], limits: Limits) -> list[Verdict]:
        """Run programs in isolation, one after the other."""
        from raysweep.execution.pool import Executor

        with Executor(slots=1) as executor:
            return executor.run(programs, limits)

    def _checkpoints(self) -> list[Path]:
        return [path.parent for path in self._work.glob(f"step-*/{COMPLETE}")]
