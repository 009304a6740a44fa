"""Saves, finds and removes the checkpoints of all workers of a training, and passes on what a trainer reports.

A checkpoint is a folder ``step-00000123-...`` beside the model's other unfinished files. Its file ``COMPLETE``, written
last, lists its files. Only the newest complete checkpoint is kept, so a killed training loses at most one interval.
Damaged checkpoints are skipped.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from raysweep.engine.progress import TOUCH_SECONDS, TRAINING, ProgressFile
from raysweep.engine.services import ModelService
from raysweep.generators.base import LiveModel
from raysweep.hashing import describe, difference
from raysweep.programs import Limits, Program, Verdict
from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef, TrainingStep
from raysweep.storage.files import Files

T = TypeVar("T")

STEP = "step-"
COMPLETE = "COMPLETE"
REMEMBERED = "remembered.json"
ROW_NUMBERS = "row-numbers"
"""Folder of the store with numbers of training rows that a base model gives, such as log-probabilities."""
SOON_SECONDS = 60.0
"""So long before a machine goes, a training on it saves as often as it can."""
RARELY = 10
"""Before that: the pause between two checkpoints, in multiples of one checkpoint's duration."""


@dataclass(frozen=True)
class Notice:
    """Says which machines of a training will be taken away: their ids with their names.

    `until`: when, in seconds since the epoch; 0: nobody said when.
    """

    machines: Mapping[str, str]
    until: float = 0.0

    def __str__(self) -> str:
        names = ", ".join(sorted(set(self.machines.values())))
        left = f", {max(0.0, self.until - time.time()):.0f} s left" if self.until else ""
        return f"nodes {names} are drained{left}" if len(self.machines) > 1 else f"node {names} is drained{left}"


class TrainingServices:
    """Implements `raysweep.trainers.base.Services` with checkpoints in a folder that all workers see."""

    accelerator_share = 1.0

    def __init__(
        self,
        checkpoints: Files,
        progress: ProgressFile,
        model_service: ModelService,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.rank = rank
        self.world_size = world_size
        self._files = checkpoints
        self._progress = progress
        self._model_service = model_service
        self._kept = model_service.files.below(ROW_NUMBERS)
        self._notice: Notice | None = None
        self._saved_for: set[str] = set()  # machines that will be taken away, since whose notice there is a checkpoint
        self._saved_at, self._save_seconds = 0.0, 0.0  # when the latest checkpoint was saved, and how long that took

    def report(self, step: TrainingStep) -> None:
        if self.rank == 0:
            detail = f"loss {step.loss:.3f}, lr {step.learning_rate:.1e}"
            self._progress.update(TRAINING, step.step, step.total_steps, detail)

    def tick(self, step: int, total_steps: int) -> bool:
        """Return True if a notice asks for a checkpoint now, the same on all workers.

        It asks for one at once. In the last minute it asks for another whenever as much time has passed as the latest
        took: so a step is lost at most, or the time of a checkpoint if that is longer. Before, ten times as much time
        must have passed, so that a long notice doesn't slow the training down. Rank 0 also updates the progress file,
        every half minute for a trainer that reports less often.
        """
        if self.rank == 0 and time.time() - self._progress.activity.updated > TOUCH_SECONDS:
            self._progress.update(TRAINING, step, total_steps, self._progress.activity.detail)
        self._notice = self.notice()
        if self._notice is None:
            return False
        if not self._notice.machines.keys() <= self._saved_for:
            return True
        is_soon = 0 < self._notice.until < time.time() + SOON_SECONDS
        pause = self._save_seconds * (1 if is_soon else RARELY)
        return self._of_all(time.monotonic() - self._saved_at >= pause)[0]

    def notice(self) -> Notice | None:
        """Return which machines will be taken away, the same on all workers; None: none, as far as is known."""
        return None

    def save_checkpoint(self, step: int, write: Callable[[Path], None]) -> None:
        """Commit a checkpoint of all workers' files; then rank 0 removes older ones, and names the notice, if any."""
        began = time.monotonic()
        older = {name.partition("/")[0] for name in self._files.infos() if name.startswith(STEP)}
        name = self._of_all(f"{STEP}{step:08d}-{uuid.uuid4().hex[:8]}")[0]
        with self._files.writing(name) as folder:
            write(folder)
            self._of_all(None)  # on a disk all workers write into the same folder
            files = describe(folder) if self.rank == 0 or self._files.local is None else {}
        parts = self._of_all(files)  # in an object store each worker's files are there when its block has ended
        if self.rank == 0:
            self._files.write(f"{name}/{COMPLETE}", json.dumps({k: v for part in parts for k, v in part.items()}))
            for checkpoint in older:
                self._files.remove_folder(checkpoint)
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - began
        if self._notice is not None and not self._notice.machines.keys() <= self._saved_for:
            self._saved_for |= self._notice.machines.keys()
            if self.rank == 0:
                self._progress.note(f"{self._notice}; checkpoint saved at step {step:,}")

    def remember(self, facts: Mapping[str, Any]) -> None:
        self._files.write(REMEMBERED, json.dumps({**self.remembered(), **facts}))

    def remembered(self) -> Mapping[str, Any]:
        with contextlib.suppress(ValueError, TypeError):
            return dict(json.loads(self._files.read(REMEMBERED) or b"{}"))
        return {}

    def keep(self, key: str, content: bytes) -> None:
        self._kept.write(key, content)

    def kept(self, key: str) -> bytes | None:
        """Return what rank 0 reads there: another worker may see a file later."""
        return self._of_all(self._kept.read(key) if self.rank == 0 else None)[0]

    @contextlib.contextmanager
    def latest_checkpoint(self) -> Iterator[Path | None]:
        for name in sorted(self._checkpoints(), reverse=True):
            with self._files.reading(name) as folder:
                try:
                    damage = difference(folder, json.loads((folder / COMPLETE).read_bytes()), whole=True)
                except (OSError, ValueError, AttributeError) as error:
                    damage = f"{COMPLETE}: {error}"
                if not damage:
                    if self.rank == 0:
                        step = int(name.removeprefix(STEP).partition("-")[0])
                        self._progress.note(f"training resumes from step {step:,}")
                    yield folder
                    return
            self._progress.note(f"checkpoint {name} is damaged ({damage}) and is skipped")
        yield None

    def generate(
        self, model: ModelRef | LiveModel, requests: Sequence[GenerationRequest], decoding: Decoding
    ) -> list[Completion]:
        return self._model_service.generate(model, requests, decoding)

    def execute(self, programs: Sequence[Program], limits: Limits) -> list[Verdict]:
        return self._model_service.execute(programs, limits)

    def _of_all(self, value: T) -> list[T]:
        """Return the values that the workers gave, by rank, as soon as all of them have given theirs."""
        if self.world_size == 1:
            return [value]
        import torch

        values: list[Any] = [None] * self.world_size
        torch.distributed.all_gather_object(values, value)
        return values

    def _checkpoints(self) -> list[str]:
        names = (name.partition("/") for name in self._files.infos())
        return [folder for folder, _, file in names if file == COMPLETE and folder.startswith(STEP)]
