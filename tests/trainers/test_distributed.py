from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from raysweep.trainers.base import TrainJob
from raysweep.trainers.full import Full
from tests.trainers.conftest import FolderServices

pytestmark = pytest.mark.slow


def work(rank: int, job: TrainJob, meeting: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    Full().train(job, FolderServices(rank=rank, world_size=2))
    torch.distributed.destroy_process_group()


def test_two_workers_train_the_model_that_one_trains(make_job: Callable[..., TrainJob], tmp_path: Path) -> None:
    # 7 rows a step: the workers' shares differ; micro-batches of 3: so do their numbers of backward passes
    alone = make_job("llama", "alone", steps=4, batch_size=7, micro_batch_size=3, eps=1e-4, clip=0.5)
    pair = dataclasses.replace(
        alone, out=tmp_path / "pair", recipe=dataclasses.replace(alone.recipe, workers=2, micro_batch_size=3)
    )
    pair.out.mkdir()
    counts = Full().train(alone, FolderServices())
    torch.multiprocessing.start_processes(work, (pair, str(tmp_path / "meeting")), nprocs=2, start_method="spawn")

    one, two = load_file(alone.out / "model.safetensors"), load_file(pair.out / "model.safetensors")
    start = load_file(Path(alone.base.location) / "model.safetensors")
    assert counts["steps"] == 4
    for name, tensor in one.items():
        moved = (tensor - start[name]).norm()
        assert moved > 0
        assert (two[name] - tensor).norm() < 1e-4 * moved, name
