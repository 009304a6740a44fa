"""Trains tiny models on two workers, as Ray Train's workers do, without Ray."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from raysweep.errors import HopelessError
from raysweep.models.loading import load_model
from raysweep.trainers.base import TRAINERS, TrainJob
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.full import Full
from raysweep.trainers.loop import TrainingLoop
from raysweep.trainers.sharding.zero import COMPILED_OP, quiet_deepspeed
from tests.services import FolderServices, Interrupted
from tests.trainers.conftest import difference, job_maker, with_rejected

pytestmark = pytest.mark.slow

HAS_DEEPSPEED = importlib.util.find_spec("deepspeed") is not None


COUNTS = "counts.json"
"""The file beside a trained model with what the trainer counted."""


def work(rank: int, workers: int, jobs: list[tuple[TrainJob, int]], folder: Path, of_one_step: TrainJob | None) -> None:
    """Train each job in turn; one with a step behind it is interrupted after that step, and then resumed.

    Of the last job one step is taken, and how often its workers exchange gradients is written down.
    """
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
    if of_one_step:
        (folder / f"exchanged{rank}").write_text(json.dumps(exchanged_parts(of_one_step, rank, workers)))
    leave()


def exchanged_parts(job: TrainJob, rank: int, workers: int) -> list[int]:
    """Take one step of several passes; return the part of the gradients of each exchange."""
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
    return exchanged


def leave() -> None:
    """End a worker whose work is done, without taking Python apart.

    Gloo's threads may still hold tensors, and releasing those while Python ends aborts the process
    (https://github.com/pytorch/pytorch/pull/179291). Ray's workers are ended without that, too.
    """
    torch.distributed.destroy_process_group()
    sys.stderr.flush()
    os._exit(0)


def train_together(
    workers: int, jobs: list[tuple[TrainJob, int]], folder: Path, of_one_step: TrainJob | None = None
) -> None:
    folder.mkdir()
    for job, _ in jobs:
        job.out.mkdir(exist_ok=True)
    arguments = (workers, jobs, folder, of_one_step)
    torch.multiprocessing.start_processes(work, arguments, nprocs=workers, start_method="spawn")


def variant(job: TrainJob, name: str, **fields: object) -> TrainJob:
    return dataclasses.replace(job, out=job.out.parent / name, recipe=dataclasses.replace(job.recipe, **fields))


@pytest.fixture(
    scope="module",
    params=[("ddp", "zero2"), pytest.param(("zero1", "zero3"), marks=pytest.mark.long)],
    ids="+".join,
)
def together(request, tiny, tmp_path_factory):
    """Ways of sharing, and a folder of models: of one worker alone, and in each way of two, who begin once for all.

    The ways that recipes have by default hold in `make test` what the others show again.

    7 rows a step: the workers' shares differ; passes of at most 100 tokens: so do their numbers of passes.
    """
    ways = [way for way in request.param if way == "ddp" or HAS_DEEPSPEED]
    if not ways:
        pytest.skip("needs deepspeed")
    folder = tmp_path_factory.mktemp("together")
    make_job = job_maker(tiny, folder)
    fields = {"batch_size": 7, "micro_batch_tokens": 100, "eps": 1e-4, "lr": 1e-3}
    whole = make_job("llama", "whole", checkpoint_every=10, steps=20, clip=0.5, **fields)
    alone = [whole, make_job("llama", "adapter", trainer="lora", steps=5, lora={"dropout": 0.0}, eps=1e-4)]
    (folder / "pairs").mkdir()
    make_pairs = job_maker(tiny, folder / "pairs")
    fields["micro_batch_tokens"] = 200
    alone += [with_rejected(make_pairs("llama", name, objective=name, steps=3, **fields)) for name in ("fait", "dpo")]
    for job in alone:
        counts = TRAINERS.get(job.recipe.trainer)().train(job, FolderServices(folder / f"{job.out.name}-state"))
        (job.out / COUNTS).write_text(json.dumps(counts))
    jobs = [(in_way(job, way), 0) for way in ways for job in alone]
    jobs += [(variant(in_way(alone[1], "ddp"), "ddp-fused", kernels="fused"), 0)] if "ddp" in ways else []
    jobs += [(dataclasses.replace(in_way(whole, way), out=folder / f"{way}-resumed"), 10) for way in ways]
    of_one_step = make_job("llama", batch_size=8, micro_batch_size=1, workers=2, parallel="ddp")
    train_together(2, jobs, folder / "pair", of_one_step)
    return ways, folder


def in_way(job: TrainJob, way: str) -> TrainJob:
    return variant(job, f"{way}-{job.out.name}", workers=2, parallel=way)


def test_two_workers_train_the_model_that_one_trains_and_resume_it(together, tiny):
    ways, folder = together
    alone = folder / "whole"
    assert difference(alone, Path(tiny["llama"].location)) > 1e-3
    for way in ways:
        whole = folder / f"{way}-whole"
        assert difference(alone, whole) < 1e-5, way
        assert difference(whole, folder / f"{way}-resumed") == 0, way
        assert difference(folder / "adapter", folder / f"{way}-adapter") < 1e-5, way
        assert way != "ddp" or difference(folder / "adapter", folder / "ddp-fused") < 1e-5
        AutoModelForCausalLM.from_pretrained(whole)
        assert (whole / "config.json").read_text() == (alone / "config.json").read_text(), way


@pytest.mark.parametrize("objective", ["fait", "dpo"])
def test_two_workers_compare_responses_as_one_does(objective, together):
    """FAIT's second forward pass, and DPO's reference, of which each worker computes a part."""
    ways, folder = together
    alone = folder / "pairs" / objective
    ours = json.loads((alone / COUNTS).read_text())
    for way in ways:
        both = folder / "pairs" / f"{way}-{objective}"
        assert difference(alone, both) < 1e-5, way
        theirs = json.loads((both / COUNTS).read_text())
        for name, total in ours["number_totals"].items():
            assert theirs["number_totals"][name] == pytest.approx(total, abs=1e-3), (way, name)
        measured, expected = theirs["held_out"], ours["held_out"]
        assert measured["margins"] == pytest.approx(expected["margins"], abs=1e-3), way
        assert measured["pairs"] == expected["pairs"] and len(measured["margins_before"]) == 40


def test_workers_exchange_each_part_of_the_gradients_once_a_step_however_many_passes_it_has(together):
    _, folder = together
    for rank in (0, 1):
        exchanged = json.loads((folder / "pair" / f"exchanged{rank}").read_text())
        assert exchanged and len(exchanged) == len(set(exchanged))


@pytest.mark.long
def test_three_workers_with_unlike_numbers_of_rows_do_equally_many_passes(make_job, tmp_path):
    """With two workers, `test_two_workers_train_the_model_that_one_trains_and_resume_it` shows it."""
    fields = {"steps": 3, "batch_size": 16, "micro_batch_size": 1, "eps": 1e-4}
    alone = make_job("llama", "alone", **fields)
    Full().train(alone, FolderServices())
    trio = variant(alone, "trio", workers=3, parallel="ddp")
    train_together(3, [(trio, 0)], tmp_path / "trio-state")
    assert difference(alone.out, trio.out) < 1e-5


@pytest.mark.skipif(not HAS_DEEPSPEED, reason="needs deepspeed")
def test_one_worker_trains_with_zero_and_with_an_optimizer_on_the_cpu(make_job, tmp_path):
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
def test_deepspeed_compiles_nothing():
    deepspeed = quiet_deepspeed()
    backend = importlib.import_module("deepspeed.comm.torch")
    assert deepspeed.ops.__compatible_ops__[COMPILED_OP] is False
    assert backend.build_shm_op() is None
