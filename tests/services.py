"""The services of a training and of an edit without an engine: they keep what is reported, and can interrupt it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.execution.pool import execute
from raysweep.generators.base import GENERATORS, TRANSFORMERS, LiveModel
from raysweep.programs import Limits, Program, Verdict
from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef, Spec, TrainingStep
from raysweep.trainers.base import Row
from raysweep.trainers.batching import collate

if TYPE_CHECKING:
    import numpy as np
    import torch


class Interrupted(Exception):
    """Stands for a killed process."""


class RowsHere:
    """Computes numbers of rows in this process, three at a time, and notes what; a `RowServices`."""

    rank, world_size = 0, 1

    def __init__(self, max_tokens: int) -> None:
        self.max_tokens = max_tokens
        self.computed: list[str] = []

    def of_rows(
        self, what: str, rows: Sequence[Row], compute: Callable[[Mapping[str, torch.Tensor]], torch.Tensor]
    ) -> np.ndarray:
        import numpy as np

        self.computed.append(what)
        batches = [collate(rows[start : start + 3], self.max_tokens) for start in range(0, len(rows), 3)]
        return np.concatenate([compute(batch).double().numpy() for batch in batches])


class FolderServices:
    """Keeps the newest checkpoint in a folder, and can interrupt the training after one.

    `folder`: None: the training may save no checkpoint. `die_after`: the step after whose checkpoint the training is
    interrupted; 0: never.
    """

    accelerator_share = 1.0

    def __init__(self, folder: Path | None = None, rank: int = 0, world_size: int = 1, die_after: int = 0) -> None:
        self.folder, self.die_after = folder, die_after
        self.rank, self.world_size = rank, world_size
        self.asked_for: set[int] = set()  # steps after which a checkpoint is asked for
        self.reports: list[TrainingStep] = []
        self.ticks: list[tuple[int, int]] = []
        self.saved: list[int] = []  # steps after which a checkpoint was saved
        self.facts: dict[str, Any] = {}
        self.store: dict[str, bytes] = {}

    def report(self, step: TrainingStep) -> None:
        self.reports.append(step)

    def tick(self, step: int, total_steps: int) -> bool:
        assert 0 <= step <= total_steps, (
            f"a trainer calls services.tick after each step, with numbers from 1 on, 0 before the first: {step}"
        )
        if step:
            self.ticks.append((step, total_steps))
        return step in self.asked_for

    def save_checkpoint(self, step: int, write: Callable[[Path], None]) -> None:
        """Replace the checkpoint; raise Interrupted after that of the step `die_after`."""
        assert self.folder is not None, "`checkpoint_every` is 0: the training saves no checkpoint"
        if self.rank == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
        self._meet()
        write(self.folder)
        self._meet()
        self.saved.append(step)
        if step == self.die_after:
            raise Interrupted

    def _meet(self) -> None:
        if self.world_size > 1:
            import torch

            torch.distributed.barrier()

    def remember(self, facts: Mapping[str, Any]) -> None:
        self.facts |= facts

    def remembered(self) -> Mapping[str, Any]:
        return self.facts

    def keep(self, key: str, content: bytes) -> None:
        self.store[key] = content

    def kept(self, key: str) -> bytes | None:
        kept = [self.store.get(key)]
        if self.world_size > 1:
            import torch

            torch.distributed.broadcast_object_list(kept, 0)
        return kept[0]

    @contextlib.contextmanager
    def latest_checkpoint(self) -> Iterator[Path | None]:
        yield self.folder if self.folder and self.folder.exists() else None

    def generate(
        self, model: ModelRef | LiveModel, requests: Sequence[GenerationRequest], decoding: Decoding
    ) -> list[Completion]:
        return GENERATORS.create(Spec(TRANSFORMERS), model=model, decoding=decoding).generate(requests)

    def execute(self, programs: Sequence[Program], limits: Limits) -> list[Verdict]:
        return execute(programs, limits)


class EditServicesHere:
    """What a host gives to an editor, without a host; an `EditServices`.

    `passing`: whether a completion's program passes the tests of the pair's problem. `die_after`: signs of life after
    which an `error` is raised; 0: none is.
    """

    def __init__(
        self,
        passing: Callable[[str], bool] = lambda completion: True,
        die_after: int = 0,
        error: type[BaseException] = Interrupted,
    ) -> None:
        self.signs = 0
        self.judged: list[str] = []  # in the order in which they were judged
        self._passing, self._die_after, self._error = passing, die_after, error

    def passes(self, completions: Sequence[str], task_id: str = "") -> list[bool]:
        self.judged += completions
        return [self._passing(completion) for completion in completions]

    def alive(self) -> None:
        self.signs += 1
        if self.signs == self._die_after:
            raise self._error
