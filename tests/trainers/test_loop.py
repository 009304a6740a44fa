from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from raysweep.errors import RaysweepError
from raysweep.models.loading import load_model
from raysweep.trainers.base import TrainJob
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.loop import TrainingLoop, own_torch_rng
from tests.models.tiny import FAMILIES
from tests.trainers.conftest import FolderServices

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

    def spy(parameters: Any, most: float) -> torch.Tensor:
        norms.append(float(real(parameters, most)))
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
    assert counts["tokens"] == last.tokens > first.tokens > 0


def test_a_long_training_reports_about_200_times_and_at_its_end(make_job: Jobs) -> None:
    services = FolderServices()
    loop_of(make_job("llama", steps=403, batch_size=1), services).run()
    assert 200 <= len(services.reports) <= 204
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
    with own_torch_rng(1, "a"):
        torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_own_generators_differ_by_name_and_repeat() -> None:
    draws = []
    for name in ("a", "a", "b"):
        with own_torch_rng(1, name):
            draws.append(float(torch.rand(1)))
    assert draws[0] == draws[1] != draws[2]
