"""Services without an engine, and training jobs over tiny models."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep.records import ModelRef, TrainingRow, TrainingStep
from raysweep.rows.parquet import write_rows
from raysweep.trainers.base import Recipe, TrainJob
from tests.models.tiny import pairs, tiny

__all__ = ["tiny"]


class Interrupted(Exception):
    """Stands for a killed process."""


class FolderServices:
    """Keeps the newest checkpoint in a folder, and can be killed after one."""

    def __init__(self, folder: Path | None = None, rank: int = 0, world_size: int = 1, die_after: int = 0) -> None:
        self.folder = folder
        self.rank = rank
        self.world_size = world_size
        self.die_after = die_after
        self.asked_for: set[int] = set()  # steps after which a checkpoint is asked for
        self.reports: list[TrainingStep] = []
        self.facts: dict[str, Any] = {}

    def report(self, step: TrainingStep) -> None:
        self.reports.append(step)

    def tick(self, step: int, total_steps: int) -> bool:
        assert 0 < step <= total_steps
        return step in self.asked_for

    def save_checkpoint(self, step: int, write: Callable[[Path], None]) -> None:
        assert self.folder is not None
        if self.rank == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
        self._meet()
        write(self.folder)
        self._meet()
        if step == self.die_after:
            raise Interrupted

    def _meet(self) -> None:
        if self.world_size > 1:
            torch.distributed.barrier()

    def remember(self, facts: Mapping[str, Any]) -> None:
        self.facts |= facts

    def remembered(self) -> Mapping[str, Any]:
        return self.facts

    @contextlib.contextmanager
    def latest_checkpoint(self) -> Iterator[Path | None]:
        yield self.folder if self.folder and self.folder.exists() else None

    def generate(self, *_: Any) -> Any:
        raise NotImplementedError

    def execute(self, *_: Any) -> Any:
        raise NotImplementedError


def training_rows(count: int = 40) -> list[TrainingRow]:
    """Rows whose shown prompt has a typo that the clean one lacks."""
    return [
        TrainingRow(
            f"{i:03d}", f"{i:03d}", p.replace("Return", "Retrun"), "", o, "python", "C2", True, p, clean_input=""
        )
        for i, (p, o) in enumerate(pairs(count))
    ]


@pytest.fixture
def make_job(tiny: dict[str, ModelRef], tmp_path: Path) -> Callable[..., TrainJob]:
    """A factory of jobs: ``make_job("llama", steps=3)``."""

    def make(family: str, out: str = "out", rows: int = 40, **fields: Any) -> TrainJob:
        write_rows(tmp_path / "rows.parquet", TrainingRow, training_rows(rows), ["row_id"])
        every = fields.pop("checkpoint_every", 0)
        recipe = Recipe(**{"lr": 1e-2, "steps": 6, "batch_size": 8, "template": "raw", **fields})
        (tmp_path / out).mkdir(exist_ok=True)
        return TrainJob(
            tiny[family], family, recipe, tmp_path / "rows.parquet", tmp_path / out, 7, f"{family} C2", every
        )

    return make
