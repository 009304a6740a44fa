"""Trains tiny models on two workers, as Ray Train's workers do, without Ray."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from raysweep.errors import HopelessError
from raysweep.models.loading import load_model
from raysweep.records import TrainingRow
from raysweep.rows.parquet import read_rows, write_rows
from raysweep.testing.services import FolderServices, Interrupted
from raysweep.trainers.base import TRAINERS, TrainJob
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.full import Full
from raysweep.trainers.loop import TrainingLoop
from raysweep.trainers.sharding.zero import COMPILED_OP, quiet_deepspeed

pytestmark = pytest.mark.slow

Jobs = Callable[..., TrainJob]
HAS_DEEPSPEED = importlib.util.find_spec("deepspeed") is not None


COUNTS = "counts.json"
"""The file beside a trained model with what the trainer counted."""


def work(rank: int, workers: int, jobs: list[tuple[TrainJob, int]], folder: Path) -> None:
    """Train each job in turn; one with a step behind it is interrupted after that step, and then resumed."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=workers
    )
    for number, (job, die_after) in enumerate(jobs):
        trainer = TRAINERS.get(job.recipe.trainer)()
        state = folder / f"state{number}"
        if die_after:
            with pytest.raises(Interrupted):
                trainer.train(job, FolderServices(state, rank, workers, die_after))
        counts = trainer.train(job, FolderServices(state, rank, workers))
        if rank == 0:
            (job.out / COUNTS).write_text(json.dumps(counts))
    leave()


def leave() -> None:
    """End a worker whose work is done, without taking Python apart.

    Gloo's threads may still hold tensors, and releasing those while Python ends aborts the process
    (https://github.com/pytorch/pytorch/pull/179291). Ray's workers are ended without that, too.
    """
    torch.distributed.destroy_process_group()
    sys.stderr.flush()
    os._exit(0)


def train_together(workers: int, jobs: list[tuple[TrainJob, int]], folder: Path) -> None:
    folder.mkdir()
    for job, _ in jobs:
        job.out.mkdir(exist_ok=True)
    torch.multiprocessing.start_processes(work, (workers, jobs, folder), nprocs=workers, start_method="spawn")


def difference(one: Path, other: Path, file: str = "model.safetensors") -> float:
    """Return the largest difference of two models' weights."""
    ours, theirs = load_file(one / file), load_file(other / file)
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


def variant(job: TrainJob, name: str, **fields: object) -> TrainJob:
    return dataclasses.replace(job, out=job.out.parent / name, recipe=dataclasses.replace(job.recipe, **fields))


def test_two_workers_train_the_model_that_one_trains_and_resume_it(make_job: Jobs, tmp_path: Path) -> None:
    # 7 rows a step: the workers' shares differ; passes of at most 100 tokens: so do their numbers of passes
    fields = {"steps": 20, "batch_size": 7, "micro_batch_tokens": 100, "eps": 1e-4, "clip": 0.5, "lr": 1e-3}
    alone = make_job("llama", "alone", checkpoint_every=10, **fields)
    Full().train(alone, FolderServices(tmp_path / "state"))
    assert difference(alone.out, Path(alone.base.location)) > 1e-3
    adapter = make_job("llama", "adapter", trainer="lora", steps=5, lora={"dropout": 0.0}, eps=1e-4)
    TRAINERS.get("lora")().train(adapter, FolderServices())

    ways = ["ddp", *(["zero1", "zero2", "zero3"] if HAS_DEEPSPEED else [])]
    whole = {way: variant(alone, f"{way}-whole", workers=2, parallel=way) for way in ways}
    resumed = {way: variant(alone, f"{way}-resumed", workers=2, parallel=way) for way in ways}
    adapters = {way: variant(adapter, f"{way}-adapter", workers=2, parallel=way) for way in ways}
    jobs = [(job, 0) for job in [*whole.values(), *adapters.values()]] + [(job, 10) for job in resumed.values()]
    train_together(2, jobs, tmp_path / "pair")
    for way in ways:
        assert difference(alone.out, whole[way].out) < 1e-5, way
        assert difference(whole[way].out, resumed[way].out) == 0, way
        assert difference(adapter.out, adapters[way].out, "adapter_model.safetensors") < 1e-5, way
        AutoModelForCausalLM.from_pretrained(whole[way].out)
        assert (whole[way].out / "config.json").read_text() == (alone.out / "config.json").read_text(), way
    if not HAS_DEEPSPEED:
        pytest.skip("without deepspeed only ddp was tried")


@pytest.mark.parametrize("wanted", [("ddp", "zero2", "zero3"), pytest.param(("zero1",), marks=pytest.mark.long)])
def test_two_workers_compare_responses_as_one_does(make_job: Jobs, tmp_path: Path, wanted: tuple[str, ...]) -> None:
    """FAIT's second forward pass, and DPO's reference, of which each worker computes a part.

    zero1, which shares less than the others, is tried in the long tests.
    """
    fields = {"steps": 3, "batch_size": 7, "micro_batch_tokens": 200, "eps": 1e-4, "lr": 1e-3}
    ways = [way for way in wanted if way == "ddp" or HAS_DEEPSPEED]
    alone, together = {}, {}
    for objective in ("fait", "dpo"):
        job = make_job("llama", objective, objective=objective, **fields)
        rows = [
            dataclasses.replace(row, rejected=row.output.replace("x", "xs"))
            for row in read_rows(job.training_set, TrainingRow)
        ]
        write_rows(job.training_set, TrainingRow, rows, ["row_id"])
        alone[objective] = dataclasses.replace(job, base_key="llama", validation=job.training_set)
        counts = Full().train(alone[objective], FolderServices())
        (job.out / COUNTS).write_text(json.dumps(counts))
        for way in ways:
            together[objective, way] = variant(alone[objective], f"{objective}-{way}", workers=2, parallel=way)
    train_together(2, [(job, 0) for job in together.values()], tmp_path / "pair")
    for (objective, way), job in together.items():
        assert difference(alone[objective].out, job.out) < 1e-5, (objective, way)
        ours, theirs = (json.loads((each.out / COUNTS).read_text()) for each in (alone[objective], job))
        for name, total in ours["number_totals"].items():
            assert theirs["number_totals"][name] == pytest.approx(total, abs=1e-3), (objective, way, name)
        measured, expected = theirs["held_out"], ours["held_out"]
        assert measured["margins"] == pytest.approx(expected["margins"], abs=1e-3), (objective, way)
        assert measured["pairs"] == expected["pairs"] and len(measured["margins_before"]) == 40


def exchange(rank: int, workers: int, job: TrainJob, folder: Path) -> None:
    """Take one step of several passes, and count how often the workers exchange gradients."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=workers
    )
    model, tokenizer = load_model(job.base)
    loop = TrainingLoop(model, encode_set(job, tokenizer, model.config), job, FolderServices(None, rank, workers))
    exchanged: list[int] = []

    def hook(_, bucket):
        exchanged.append(bucket.index())
        done: torch.futures.Future[torch.Tensor] = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    loop.sharding.replica.register_comm_hook(None, hook)
    loop.add_gradients(list(range(8)))
    assert len(exchanged) == len(set(exchanged)), "each part of the gradients once"
    leave()


def test_workers_exchange_gradients_once_a_step_however_many_passes_it_has(make_job: Jobs, tmp_path: Path) -> None:
    job = make_job("llama", batch_size=8, micro_batch_size=1, workers=2, parallel="ddp")
    torch.multiprocessing.start_processes(exchange, (2, job, tmp_path), nprocs=2, start_method="spawn")


@pytest.mark.long
def test_three_workers_with_unlike_numbers_of_rows_do_equally_many_passes(make_job: Jobs, tmp_path: Path) -> None:
    """With two workers, `test_two_workers_train_the_model_that_one_trains_and_resume_it` shows it."""
    fields = {"steps": 3, "batch_size": 16, "micro_batch_size": 1, "eps": 1e-4}
    alone = make_job("llama", "alone", **fields)
    Full().train(alone, FolderServices())
    trio = variant(alone, "trio", workers=3, parallel="ddp")
    train_together(3, [(trio, 0)], tmp_path / "trio-state")
    assert difference(alone.out, trio.out) < 1e-5


@pytest.mark.skipif(not HAS_DEEPSPEED, reason="needs deepspeed")
def test_one_worker_trains_with_zero_and_with_an_optimizer_on_the_cpu(make_job: Jobs, tmp_path: Path) -> None:
    plain = make_job("gpt_bigcode", "plain", steps=8, checkpoint_every=4, eps=1e-4)
    Full().train(plain, FolderServices(tmp_path / "plain-state"))
    zero = variant(plain, "zero", parallel="zero2", offload="optimizer")
    zero.out.mkdir()
    with pytest.raises(Interrupted):
        Full().train(zero, FolderServices(tmp_path / "state", die_after=4))
    with pytest.raises(HopelessError, match="is of another training"):
        Full().train(variant(zero, "plain", parallel=None), FolderServices(tmp_path / "state"))
    Full().train(zero, FolderServices(tmp_path / "state"))
    assert difference(plain.out, zero.out) < 1e-5


@pytest.mark.skipif(not HAS_DEEPSPEED, reason="needs deepspeed")
def test_deepspeed_compiles_nothing() -> None:
    deepspeed = quiet_deepspeed()
    backend = importlib.import_module("deepspeed.comm.torch")
    assert deepspeed.ops.__compatible_ops__[COMPILED_OP] is False
    assert backend.build_shm_op() is None
