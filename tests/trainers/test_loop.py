from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep.errors import RaysweepError, UsageError
from raysweep.models.loading import load_model
from raysweep.records import ModelRef
from raysweep.trainers.base import Recipe, TrainJob
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.loop import CHECKPOINT_FILE, TrainingLoop, learning_rate, make_optimizer, seeded_torch
from tests.models.tiny import FAMILIES
from tests.trainers.conftest import FolderServices, Interrupted

pytestmark = pytest.mark.slow

Jobs = Callable[..., TrainJob]


def loop_of(job: TrainJob, services: FolderServices | None = None) -> TrainingLoop:
    model, tokenizer = load_model(job.base)
    return TrainingLoop(model, encode_set(job, tokenizer, model.config), job, services or FolderServices())


def flat_gradient(model: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def relative(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


def gradient_row_by_row(job: TrainJob, rows: list[int]) -> torch.Tensor:
    """The mean gradient of single, unpadded rows, by transformers' own loss."""
    model, tokenizer = load_model(job.base)
    data = encode_set(job, tokenizer, model.config)
    for row in rows:
        ids = torch.tensor([data.rows[row]["input_ids"]])
        labels = ids.clone()
        labels[0, torch.tensor(data.rows[row]["weights"]) == 0] = -100
        (model(input_ids=ids, labels=labels).loss / len(rows)).backward()
    return flat_gradient(model)


@pytest.mark.parametrize("family", FAMILIES)
def test_any_batching_gives_the_gradient_of_single_rows(family: str, make_job: Jobs) -> None:
    rows = list(range(16))
    expected = gradient_row_by_row(make_job(family), rows)
    for micro in (1, 5, 16):
        loop = loop_of(make_job(family, batch_size=16, micro_batch_size=micro))
        sums = loop.add_gradients(rows)
        assert relative(flat_gradient(loop.model) / float(sums[1]), expected) < 1e-5
    bucketed = loop_of(make_job(family, batch_size=16, micro_batch_size=4))
    sums = bucketed.add_gradients(sorted(rows, key=lambda row: bucketed.data.lengths[row]))
    assert relative(flat_gradient(bucketed.model) / float(sums[1]), expected) < 1e-5


def test_the_gradient_is_clipped_once_a_step(make_job: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    norms = []
    real = torch.nn.utils.clip_grad_norm_

    def spy(parameters: Any, limit: float) -> torch.Tensor:
        norms.append(float(real(parameters, limit)))
        return torch.tensor(norms[-1])

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spy)
    job = make_job("llama", steps=2, micro_batch_size=1, clip=0.1)
    loop = loop_of(job)
    expected = gradient_row_by_row(job, loop.order.rows(0))
    loop.run()
    assert len(norms) == 2
    assert norms[0] == pytest.approx(float(expected.norm()), rel=1e-4)


def test_training_lowers_the_loss_and_reports_it(make_job: Jobs) -> None:
    services = FolderServices()
    counts = loop_of(make_job("llama", steps=30, length_buckets=2), services).run()
    first, last = services.reports[0], services.reports[-1]
    assert (first.step, last.step, last.total_steps) == (1, 30, 30)
    assert last.loss < first.loss / 2
    assert counts["final_loss"] == last.loss
    assert counts["losses"] == [[report.step, report.loss] for report in services.reports]
    assert counts["tokens"] == last.tokens > first.tokens > 0


@pytest.mark.slow
def test_a_long_training_reports_about_200_times_and_at_its_end(make_job: Jobs) -> None:
    services = FolderServices()
    counts = loop_of(make_job("llama", steps=403, batch_size=1), services).run()
    assert 200 <= len(services.reports) <= 204
    assert len(counts["losses"]) == 200
    assert [counts["losses"][end] for end in (0, -1)] == [
        [report.step, report.loss] for report in (services.reports[0], services.reports[-1])
    ]
    assert services.reports[-1].step == 403


def test_bf16_trains_float32_weights_like_float32_does(make_job: Jobs) -> None:
    losses = []
    for precision in ("float32", "bf16"):
        loop = loop_of(make_job("gpt_bigcode", steps=20, precision=precision))
        losses.append(loop.run()["final_loss"])
        assert {p.dtype for p in loop.model.parameters()} == {torch.float32}
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert losses[1] != losses[0]


def test_a_loss_that_is_not_finite_names_its_step(make_job: Jobs) -> None:
    loop = loop_of(make_job("llama", steps=4))
    with torch.no_grad():
        loop.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(RaysweepError, match="llama C2: the loss of step 1 of 4 is nan"):
        loop.run()


def test_the_step_with_the_bad_loss_is_found_among_those_since_the_last_report(make_job: Jobs) -> None:
    loop = loop_of(make_job("llama", steps=4))
    loop.unreported = [torch.tensor([loss, 8.0]) for loss in (1.0, float("inf"), 2.0)]
    with pytest.raises(RaysweepError, match="step 9 of 4 is inf"):
        loop._report(10)


def test_torchs_global_generator_is_left_alone(make_job: Jobs) -> None:
    before = torch.random.get_rng_state()
    loop_of(make_job("llama", steps=2)).run()
    with seeded_torch(1, "a"):
        torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_own_generators_differ_by_name_and_repeat() -> None:
    draws = []
    for name in ("a", "a", "b"):
        with seeded_torch(1, name):
            draws.append(float(torch.rand(1)))
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0, 0.05, 0.3])
def test_schedules_are_those_of_transformers(schedule: str, warmup: float) -> None:
    import transformers

    name = "constant_with_warmup" if schedule == "constant" else schedule
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = transformers.get_scheduler(name, optimizer, round(warmup * 40), 40)
    recipe = Recipe(lr=0.3, schedule=schedule, warmup=warmup)
    for step in range(40):
        assert learning_rate(recipe, step, 40) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        theirs.step()


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(UsageError, match="'sine'"):
        learning_rate(Recipe(schedule="sine"), 3, 10)


@pytest.mark.parametrize("family", FAMILIES)
def test_weight_decay_spares_biases_and_norms_only(family: str, tiny: dict[str, ModelRef]) -> None:
    model, _ = load_model(tiny[family])
    groups = make_optimizer(model, Recipe(weight_decay=0.01)).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed = {names[id(p)] for group in groups if group["weight_decay"] for p in group["params"]}
    spared = {names[id(p)] for group in groups if not group["weight_decay"] for p in group["params"]}
    assert decayed | spared == set(names.values()) and not decayed & spared
    assert all("bias" in name or "norm" in name or "ln_" in name for name in spared)
    assert not any("bias" in name or "norm" in name or "ln_" in name for name in decayed)


def test_frozen_tensors_are_left_out(tiny: dict[str, ModelRef]) -> None:
    model, _ = load_model(tiny["llama"])
    model.requires_grad_(False)
    model.lm_head.weight.requires_grad_(True)
    groups = make_optimizer(model, Recipe()).param_groups
    assert [p.shape for group in groups for p in group["params"]] == [model.lm_head.weight.shape]


def test_a_checkpoint_without_a_loss_curve_still_resumes(make_job: Jobs, tmp_path: Path) -> None:
    job = make_job("llama", steps=4, checkpoint_every=2)
    with pytest.raises(Interrupted):
        loop_of(job, FolderServices(tmp_path / "state", die_after=2)).run()
    file = tmp_path / "state" / CHECKPOINT_FILE
    state = torch.load(file, weights_only=True)
    del state["losses"]
    torch.save(state, file)
    counts = loop_of(job, FolderServices(tmp_path / "state")).run()
    assert [step for step, _ in counts["losses"]] == [3, 4]
