"""Training jobs over tiny models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from raysweep.models.loading import load_model
from raysweep.records import ModelRef, TrainingRow
from raysweep.rows.parquet import read_rows, write_rows
from raysweep.trainers.base import TRAINERS, Recipe, TrainJob
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.loop import TrainingLoop
from tests.services import FolderServices, Interrupted
from tests.tiny import training_rows


def job_maker(tiny: dict[str, ModelRef], folder: Path) -> Callable[..., TrainJob]:
    """Return a factory of jobs in a folder: ``make_job("llama", steps=3)``."""

    def make(family: str, out: str = "out", rows: int = 40, **fields: Any) -> TrainJob:
        write_rows(folder / "rows.parquet", TrainingRow, training_rows(rows), ["row_id"])
        every = fields.pop("checkpoint_every", 0)
        recipe = Recipe(**{"lr": 1e-2, "steps": 6, "batch_size": 8, "template": "raw", **fields})
        (folder / out).mkdir(exist_ok=True)
        return TrainJob(tiny[family], family, recipe, folder / "rows.parquet", folder / out, 7, f"{family} C2", every)

    return make


def with_rejected(job: TrainJob) -> TrainJob:
    """Give a job's rows rejected responses, and its base a key; its rows validate it, too."""
    rows = [
        dataclasses.replace(row, rejected=row.output.replace("x", "xs"))
        for row in read_rows(job.training_set, TrainingRow)
    ]
    write_rows(job.training_set, TrainingRow, rows, ["row_id"])
    return dataclasses.replace(job, base_key=job.family, validation=job.training_set)


def encoded(job: TrainJob, **changes: Any) -> tuple[Any, Any]:
    """Return a job's model and its encoded rows; `changes`: of its recipe."""
    model, tokenizer = load_model(job.base)
    job = dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, **changes))
    return model, encode_set(job, tokenizer, model.config)


def loop_of(job: TrainJob, services: FolderServices | None = None) -> TrainingLoop:
    return TrainingLoop(*encoded(job), job, services or FolderServices())


def train(job: TrainJob, services: FolderServices | None = None) -> dict[str, Any]:
    job.out.mkdir(exist_ok=True)
    return dict(TRAINERS.get(job.recipe.trainer)().train(job, services or FolderServices()))


def train_and_resume(whole: TrainJob, folder: Path, *deaths: int, asked_for: bool = False) -> dict[str, Any]:
    """Train a job; interrupted after some steps it must end with the same weights and counts. Return the counts.

    `asked_for`: its checkpoints are saved as soon as a step has ended, since the machine goes.
    """
    undisturbed = train(whole, FolderServices(folder / "one"))
    broken = dataclasses.replace(whole, out=folder / "broken")
    for step in deaths:
        services = FolderServices(folder / "two", die_after=step)
        services.asked_for = {step} if asked_for else set()
        with pytest.raises(Interrupted):
            train(broken, services)
    resumed = train(broken, FolderServices(folder / "two"))
    assert resumed == {**undisturbed, "resumed_from": deaths[-1], "memory_bytes": ANY}
    assert difference(whole.out, broken.out) == 0
    return undisturbed


def own_loss(model: Any, row: Any) -> Any:
    """Return transformers' own loss of a single row, unpadded."""
    import torch

    ids = torch.tensor(row["input_ids"]).long()[None]
    return model(input_ids=ids, labels=ids.masked_fill(torch.tensor(row["weights"])[None] == 0, -100)).loss


def tensors_of(folder: Path) -> dict[str, Any]:
    """Return the tensors of a model or an adapter."""
    from safetensors.torch import load_file

    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def difference(one: Path, other: Path) -> float:
    """Return the largest difference of the weights of two models or adapters."""
    ours, theirs = tensors_of(one), tensors_of(other)
    assert ours and ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


@pytest.fixture
def make_job(tiny, tmp_path):
    """A factory of jobs: ``make_job("llama", steps=3)``."""
    return job_maker(tiny, tmp_path)


@pytest.fixture
def make_pairs(make_job):
    """A factory of jobs whose rows have a rejected response: ``make_pairs("dpo", steps=3)``."""
    return lambda objective, out="out", family="llama", **fields: with_rejected(
        make_job(family, out, objective=objective, **fields)
    )
