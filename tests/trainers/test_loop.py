from __future__ import annotations

import contextlib
import dataclasses
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest.mock import ANY, Mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama import modeling_llama

from raysweep.errors import RaysweepError, UsageError
from raysweep.generators.transformers import Transformers
from raysweep.models.loading import load_model
from raysweep.records import Decoding, GenerationRequest
from raysweep.trainers import loop as loop_module
from raysweep.trainers import reports
from raysweep.trainers.base import Recipe, TrainJob
from raysweep.trainers.batching import LEAST_TOKENS
from raysweep.trainers.loop import CHECKPOINT_FILE, seeded_torch
from raysweep.trainers.optimizer import learning_rate, make_optimizer
from raysweep.trainers.sharding.replicas import Replicas
from tests.models.tiny import FAMILIES, TRANSFORMERS_4
from tests.services import FolderServices, Interrupted
from tests.trainers.conftest import encoded, loop_of, own_loss, train

pytestmark = pytest.mark.slow

Jobs = Callable[..., TrainJob]


def flat_gradient(model: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def relative(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


def gradient_row_by_row(job: TrainJob, rows: list[int]) -> torch.Tensor:
    """The mean gradient of single, unpadded rows, by transformers' own loss."""
    model, data = encoded(job)
    for row in rows:
        (own_loss(model, data.rows[row]) / len(rows)).backward()
    return flat_gradient(model)


@pytest.mark.parametrize("family", FAMILIES)
def test_any_batching_gives_the_gradient_of_single_rows(family, make_job):
    rows = list(range(16))
    expected = gradient_row_by_row(make_job(family), rows)
    for fields in ({"micro_batch_size": 1}, {"micro_batch_size": 5}, {"micro_batch_tokens": 100}, {}):
        loop = loop_of(make_job(family, batch_size=16, **fields))
        loop.add_gradients(sorted(rows, key=lambda row: -loop.data.lengths[row]))
        assert relative(flat_gradient(loop.model), expected) < 1e-5


@pytest.mark.parametrize("family", FAMILIES[:2] if TRANSFORMERS_4 else FAMILIES)
def test_packed_rows_give_the_gradient_of_single_rows(family, make_job):
    rows = list(range(16))
    expected = gradient_row_by_row(make_job(family), rows)
    loop = loop_of(make_job(family, batch_size=16, batching="packed", micro_batch_tokens=300))
    loop.add_gradients(rows)
    assert relative(flat_gradient(loop.model), expected) < 1e-5


@pytest.mark.skipif(not TRANSFORMERS_4, reason="codegen keeps packed rows apart since transformers 5")
def test_a_model_that_mixes_packed_rows_is_refused(make_job):
    with pytest.raises(UsageError, match="this codegen model mixes packed rows; use `batching: padded`"):
        loop_of(make_job("codegen", batching="packed"))


class Conversions(TorchDispatchMode):
    """Counts how often tensors of a model are converted."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.count, self._known = 0, {weights.data_ptr() for weights in model.parameters()}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._to_copy.default:
            self.count += args[0].data_ptr() in self._known
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("family", FAMILIES[:2])
def test_weights_are_converted_to_16_bits_once_a_step_with_the_gradients_of_once_a_pass(family, make_job, monkeypatch):
    counts, gradients = [], []
    for changes in ({"batch_size": 1}, {}, {"patched": True}):
        if changes.pop("patched", False):
            monkeypatch.setattr(Replicas, "one_step", lambda self: contextlib.nullcontext())
        loop = loop_of(make_job(family, precision="bf16", micro_batch_size=1, **changes))
        with Conversions(loop.model) as conversions:
            loop.add_gradients(loop.order.rows(0))
        counts.append(conversions.count)
        gradients.append(flat_gradient(loop.model))
    assert counts[0] == counts[1] == counts[2] // 8 > 0
    assert torch.equal(gradients[1], gradients[2])


@pytest.mark.parametrize(
    ("fields", "card", "share", "expected"),
    [
        ({"batching": "packed"}, "NVIDIA H200", 1.0, (16 * 44, 183)),
        ({"batching": "packed", "precision": "tf32"}, "NVIDIA H200", 1.0, (16 * 44, 1350)),
        ({"batching": "packed"}, "unknown", 2**-20, (44, LEAST_TOKENS)),
        ({}, "NVIDIA H200", 1.0, (16 * 44, 183)),
        ({"micro_batch_tokens": 99}, "NVIDIA H200", 1.0, (99, 183)),
        ({"trainer": "a plug-in's"}, "NVIDIA H200", 1.0, (4096, 183)),
    ],
)
def test_passes_on_an_accelerator_are_as_large_as_its_share_holds(fields, card, share, expected, make_job, monkeypatch):
    loop = loop_of(make_job("llama", batch_size=16))
    loop.recipe, loop.device = dataclasses.replace(loop.recipe, **fields), torch.device("cuda")
    loop.data, loop.services.accelerator_share = Mock(lengths=[40, 44]), share
    monkeypatch.setattr(loop_module, "accelerator_in_use", lambda: card)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Mock(total_memory=141 * 10**9))
    batching = loop._usual_batching()
    assert (batching.tokens, batching.least_tokens) == expected


def test_the_gradient_is_clipped_once_a_step(make_job, monkeypatch):
    norms, real = [], torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *args: norms.append(real(*args)) or norms[-1])
    job = make_job("llama", steps=2, micro_batch_size=1, clip=0.1)
    loop = loop_of(job)
    expected = gradient_row_by_row(job, loop.order.rows(0))
    loop.run()
    assert [float(norm) for norm in norms] == [pytest.approx(float(expected.norm()), rel=1e-4), ANY]


def test_training_lowers_the_loss_and_reports_it(make_job):
    services = FolderServices()
    counts = loop_of(make_job("llama", steps=30, length_buckets=2), services).run()
    first, last = services.reports[0], services.reports[-1]
    assert (first.step, last.step, last.total_steps) == (1, 30, 30)
    assert last.loss < first.loss / 2
    assert counts["final_loss"] == last.loss
    assert counts["losses"] == [[report.step, report.loss] for report in services.reports]
    assert counts["tokens"] == last.tokens > first.tokens > 0


def test_a_long_training_reports_about_so_often_and_at_its_end(make_job, monkeypatch):
    assert reports.REPORTS == reports.CURVE_POINTS == 200
    for name in ("REPORTS", "CURVE_POINTS"):
        monkeypatch.setattr(reports, name, 20)
    services = FolderServices()
    counts = loop_of(make_job("llama", steps=43, batch_size=1), services).run()
    assert 20 <= len(services.reports) <= 24
    assert len(counts["losses"]) == 20
    assert [counts["losses"][end] for end in (0, -1)] == [
        [report.step, report.loss] for report in (services.reports[0], services.reports[-1])
    ]
    assert services.reports[-1].step == 43


def test_sixteen_bits_train_float32_weights_like_float32_does(make_job):
    losses = {}
    for precision in ("float32", "bf16", "float16"):
        loop = loop_of(make_job("gpt_bigcode", steps=20, precision=precision))
        losses[precision] = loop.run()["final_loss"]
        assert {p.dtype for p in loop.model.parameters()} == {torch.float32}
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["float16"] == pytest.approx(losses["float32"], rel=0.01)
    assert len(set(losses.values())) == 3


def test_a_step_whose_float16_gradient_overflows_is_repeated_with_a_lower_scale(make_job):
    losses = []
    for scale in (2.0**10, 2.0**40):
        loop = loop_of(make_job("llama", steps=3, precision="float16", eps=1e-4))
        loop.sharding.scaler.scale(torch.ones(()))  # makes the scale
        loop.sharding.scaler.update(new_scale=scale)
        losses.append(loop.run()["final_loss"])
        assert bool(loop.repeated_steps) == (scale > 2**20)
        assert loop.sharding.scaler.get_scale() < 2**30
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_a_loss_that_is_not_finite_names_its_step(make_job):
    loop = loop_of(make_job("llama", steps=4))
    with torch.no_grad():
        loop.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(RaysweepError, match=r"llama C2: the loss of step 1 of 4 is nan; lower `lr: [\d.e-]+`$"):
        loop.run()
    reports = loop_of(make_job("llama", steps=4, precision="bf16")).reports
    for loss in (1.0, float("inf"), 2.0):  # the second of three steps since the last report
        reports.add(torch.tensor([loss, 8.0], dtype=torch.float64), 1.0, 10)
    with pytest.raises(RaysweepError, match=r"step 9 of 4 is inf; .* or use `precision: float32`"):
        reports.report(10)


def test_torchs_global_generator_is_left_alone_and_own_ones_differ_by_name_and_repeat(make_job):
    before, draws = torch.random.get_rng_state(), []
    loop_of(make_job("llama", steps=2)).run()
    for name in ("a", "a", "b"):
        with seeded_torch(1, name):
            draws.append(float(torch.rand(1)))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0, 0.3])
def test_schedules_are_those_of_transformers(schedule, warmup):
    import transformers

    name = "constant_with_warmup" if schedule == "constant" else schedule
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = transformers.get_scheduler(name, optimizer, round(warmup * 40), 40)
    recipe = Recipe(lr=0.3, schedule=schedule, warmup=warmup)
    for step in range(40):
        assert learning_rate(recipe, step, 40) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        theirs.step()


def test_an_unknown_schedule_is_refused():
    with pytest.raises(UsageError, match="'sine'"):
        learning_rate(Recipe(schedule="sine"), 3, 10)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
@pytest.mark.parametrize("family", FAMILIES)
def test_weight_decay_spares_biases_and_norms_only_and_frozen_tensors_are_left_out(family, optimizer, tiny):
    model, _ = load_model(tiny[family])
    frozen, *trained = model.named_parameters()
    frozen[1].requires_grad_(False)
    decayed, spared = make_optimizer(model, Recipe(optimizer=optimizer, weight_decay=0.01)).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    names = [{name for name, weights in trained if any(weights is p for p in of["params"])} for of in (decayed, spared)]
    assert sum(map(len, names)) == len(decayed["params"]) + len(spared["params"]) == len(trained)
    for number, of in enumerate(names):
        assert of and all(("bias" in name or "norm" in name or "ln_" in name) == bool(number) for name in of)


MEMORY = """
import resource, sys
from dataclasses import replace
from pathlib import Path
import torch
from raysweep.models.loading import load_model
from raysweep.records import ModelRef
from raysweep.trainers.base import Recipe, TrainJob
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.loop import TrainingLoop
from tests.services import FolderServices

base, rows = sys.argv[1], Path(sys.argv[2])
recipe = Recipe(lr=1e-3, steps=2, batch_size=512, template="raw", micro_batch_tokens=32_768)
job = TrainJob(ModelRef(base), "llama", recipe, rows, Path(), 7, "llama C2")
for limited in (True, False):
    model, tokenizer = load_model(job.base)
    model.config.use_cache = False
    loop = TrainingLoop(model, encode_set(job, tokenizer, model.config), job, FolderServices())
    loop.batching = replace(loop.batching, pass_tokens=10**6)  # so that all rows share a pass
    if limited:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20, -1))
    counts = loop.run()
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    print(counts["batching"]["tokens"], float(model.lm_head.weight.detach().double().abs().sum()))
"""


def test_a_step_that_runs_out_of_memory_is_repeated_in_smaller_passes(make_job):
    job = make_job("llama", rows=512)
    command = [sys.executable, "-c", MEMORY, job.base.location, str(job.training_set)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    results = {}
    for limit, line in zip(("limited", "free"), done.stdout.splitlines(), strict=True):
        tokens, total = line.split()
        results[limit] = int(tokens), float(total)
    assert results["free"][0] == 32_768
    assert results["limited"][0] < 32_768
    assert results["limited"][1] == pytest.approx(results["free"][1], rel=1e-5)


def test_several_workers_leave_a_smaller_size_to_the_next_attempt(make_job):
    services = FolderServices()
    loop = loop_of(make_job("llama", steps=3, micro_batch_tokens=256), services)
    loop.sharding.can_repeat = False
    rows, lengths = loop.order.rows(1), loop.data.lengths
    largest = max(sum(lengths[row] for row in each) for each in loop.batching.cut(rows, lengths))
    said = f"memory ran out at step 2 of 3; the next attempt takes {largest // 2} tokens a pass"
    with pytest.raises(RaysweepError, match=said):
        loop._make_passes_smaller(rows, 1, torch.OutOfMemoryError("CUDA out of memory"), loop.data)
    again = loop_of(make_job("llama", steps=3, micro_batch_tokens=256), services)
    assert again.batching.tokens == largest // 2
    alone = loop_of(make_job("llama", steps=3, micro_batch_size=1), services)
    with pytest.raises(RaysweepError, match="in a forward pass of one row; use `gradient_checkpointing"):
        alone._make_passes_smaller(rows, 1, torch.OutOfMemoryError("CUDA out of memory"), loop.data)


def test_a_float16_gradient_that_is_never_finite_ends_the_training(make_job):
    loop = loop_of(make_job("llama", steps=3, precision="float16"))
    loop.model.lm_head.weight.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(RaysweepError, match="gradients of step 1 of 3 are not finite at any loss scale of float16"):
        loop.run()


def test_memory_that_runs_out_in_the_update_says_what_needs_it(make_job, monkeypatch):
    loop = loop_of(make_job("llama", steps=3))
    full = Mock(side_effect=torch.OutOfMemoryError("CUDA out of memory"))
    monkeypatch.setattr(loop.sharding.optimizer, "step", full)
    with pytest.raises(RaysweepError, match="memory ran out in the update of step 1, where the optimizer"):
        loop.run()


def test_auto_batching_keeps_one_way_and_a_restart_repeats_it(make_job, tmp_path):
    plain = loop_of(make_job("llama", steps=50))
    plain.run()
    job = make_job("llama", steps=50, batching="auto", checkpoint_every=45)
    with pytest.raises(Interrupted):
        loop_of(job, FolderServices(tmp_path / "state", die_after=45)).run()
    chosen = torch.load(tmp_path / "state" / CHECKPOINT_FILE, weights_only=True)["batching"]
    loop = loop_of(job, FolderServices(tmp_path / "state"))
    counts = loop.run()
    assert counts["batching"] == chosen
    assert relative(loop.model.lm_head.weight.detach(), plain.model.lm_head.weight.detach()) < 1e-2


@pytest.mark.parametrize(
    ("every", "asked_for", "saved", "is_validated"),
    [
        (5, {3, 8, 10, 12}, [3, 5, 8, 10], False),  # none after the last step
        ("1h", {3, 8, 10, 12}, [3, 8, 10], False),
        (0, {3, 8, 10, 12}, [], False),
        (5, {5, 10}, [5, 10], True),  # what is saved before a validation isn't saved after it again
        ("1h", {5, 10}, [5, 10], True),
    ],
)
def test_a_checkpoint_that_is_asked_for_is_saved_at_once(make_job, tmp_path, every, asked_for, saved, is_validated):
    job, services = make_job("llama", steps=12, checkpoint_every=every), FolderServices(tmp_path / "state")
    services.asked_for = asked_for
    loop = loop_of(dataclasses.replace(job, validation=job.training_set) if is_validated else job, services)
    assert loop.order.steps_per_epoch == 5
    loop.run()
    assert services.saved == saved


def test_a_checkpoint_is_due_after_a_time(make_job, tmp_path, monkeypatch):
    now, services = [0.0], FolderServices(tmp_path / "state")
    monkeypatch.setattr(loop_module.time, "monotonic", lambda: now[0])
    loop = loop_of(make_job("llama", steps=9, checkpoint_every="2min"), services)
    monkeypatch.setattr(services, "tick", lambda *steps: now.__setitem__(0, now[0] + 50))
    loop.run()
    assert services.saved == [3, 6], "after 150 and 300 s"


def safecoders_losses(job: TrainJob) -> list[float]:
    """SafeCoder's loop: clips after each of 16 rows, and an epoch's left-over gradients stay for the next step."""
    (model, data), loop = encoded(job), loop_of(job)
    optimizer, size = torch.optim.AdamW(model.parameters(), lr=job.recipe.lr, weight_decay=0.01), job.recipe.batch_size
    losses, total, model = [], 0.0, model.train()
    for epoch in range(2):
        for number, row in enumerate(loop.order._order(epoch)):
            loss = own_loss(model, data.rows[row]) / size
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), job.recipe.clip)
            total += float(loss.detach())
            if (number + 1) % size == 0:
                for group in optimizer.param_groups:
                    group["lr"] = job.recipe.lr * (1 - len(losses) / loop.total)
                optimizer.step()
                optimizer.zero_grad()
                losses.append(total)
                total = 0.0
    return losses


def test_as_safecoder_the_losses_are_those_of_its_loop(make_job):
    job = make_job("llama", steps=None, epochs=2, batch_size=16, rows=40, compat="safecoder", lr=1e-2, clip=0.3)
    services = FolderServices()
    loop_of(job, services).run()
    theirs = safecoders_losses(job)
    assert len(theirs) == 4, "8 rows of the first epoch go into the second one's first step"
    assert [report.loss for report in services.reports] == pytest.approx(theirs, rel=1e-4)


def changed_gradient(make_job: Jobs, family: str = "llama", **fields: Any) -> float:
    """Return how far a model's gradient is from the one without some fields of the recipe."""
    gradients = []
    for given in ({}, fields):
        loop = loop_of(make_job(family, **given))
        loop.add_gradients(loop.order.rows(0))
        gradients.append(flat_gradient(loop.model))
    return relative(gradients[1], gradients[0])


@pytest.mark.long
def test_a_compiled_model_has_the_same_gradient(make_job, monkeypatch):
    """Compiled into graphs that torch runs as they are: half a minute less than with kernels of their own.

    In small: without the compiler, the other tests here.
    """
    compile, given = torch.compile, []
    monkeypatch.setattr(
        torch, "compile", lambda model, **how: given.append(how) or compile(model, backend="aot_eager", **how)
    )
    assert changed_gradient(make_job, compile=True) < 1e-6
    assert given == [{"dynamic": True}], "lengths of batches differ"


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_model_compiled_to_kernels_has_the_same_gradient(make_job):
    """With graphs alone, `test_a_compiled_model_has_the_same_gradient` shows it."""
    assert changed_gradient(make_job, compile=True) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_checkpointing_gives_the_same_gradient(family, make_job):
    assert changed_gradient(make_job, family, gradient_checkpointing=True) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("batching", ["padded", "packed"])
@pytest.mark.parametrize("asked", ["eager", "sdpa"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_attention_that_a_model_asks_for_is_the_one_that_trains_and_writes(
    asked, batching, precision, make_job, tmp_path, monkeypatch
):
    """Not the loop's own among a pass's rows, nor the plain one that it takes for bf16 on CPUs."""
    plain = make_job("llama", batching=batching, precision=precision)
    job = dataclasses.replace(plain, out=tmp_path / "asked", base=dataclasses.replace(plain.base, attention=asked))
    ran = Counter()
    real = {"eager": modeling_llama.eager_attention_forward, "sdpa": ALL_ATTENTION_FUNCTIONS["sdpa"]}
    watched = {name: lambda *a, _name=name, **k: ran.update([_name]) or real[_name](*a, **k) for name in real}
    monkeypatch.setattr(modeling_llama, "eager_attention_forward", watched["eager"])
    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "sdpa", watched["sdpa"])
    counts = train(job)
    assert set(ran) == {asked}
    assert counts["final_loss"] == pytest.approx(
        train(plain)["final_loss"], rel=1e-4 if precision == "float32" else 0.03
    )
    ran.clear()
    generator = Transformers(dataclasses.replace(job.base, location=str(job.out)), Decoding(4))
    generator.generate([GenerationRequest("0", "0", "def f")])
    assert set(ran) == {asked}
