"""Training jobs over tiny models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysweep.records import ModelRef, TrainingRow
from raysweep.rows.parquet import write_rows
from raysweep.testing.tiny import training_rows
from raysweep.trainers.base import Recipe, TrainJob


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
