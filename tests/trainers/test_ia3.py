from __future__ import annotations

import pytest
import torch

from raysweep.errors import HopelessError
from raysweep.models.loading import load_model
from raysweep.records import ModelKind, ModelRef
from raysweep.trainers.full import load_for_training
from raysweep.trainers.ia3 import Ia3
from raysweep.trainers.optimizer import make_optimizer
from tests.models.tiny import FIRST
from tests.trainers.conftest import tensors_of, train

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", FIRST)
def test_the_vectors_are_trained_reload_and_merge(family, make_job):
    job = make_job(family, trainer="ia3", steps=20, lr=5e-2)
    counts = train(job)
    saved = tensors_of(job.out)
    assert counts["losses"][-1][1] < counts["losses"][0][1]
    assert counts["trainable_weights"] == sum(tensor.numel() for tensor in saved.values())
    assert counts["weights"] == load_model(job.base)[0].num_parameters() and counts["memory_bytes"] > 0
    assert all("ia3_l" in name for name in saved)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        base = load_model(job.base)[0](input_ids=ids).logits
        tuned, _ = load_model(ModelRef(str(job.out), ModelKind.ADAPTER, job.base))
        logits = tuned(input_ids=ids).logits
        merged = tuned.merge_and_unload()(input_ids=ids).logits
    assert not torch.allclose(logits, base, atol=1e-3)
    torch.testing.assert_close(merged, logits, atol=2e-5, rtol=0)


def test_the_vectors_are_spared_from_weight_decay(make_job):
    job = make_job("llama", trainer="ia3")
    groups = make_optimizer(Ia3().add_adapter(load_for_training(job.base)[0], job), job.recipe).param_groups
    assert {group["weight_decay"] for group in groups if group["params"]} == {0.0}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"targets": ["k_prj"]}, "no module 'k_prj', which `ia3.targets` names .did you mean 'k_proj'"),
        ({"targets": ["k_proj"], "feedforward": ["down_proj"]}, "`ia3.feedforward` names 'down_proj'"),
    ],
)
def test_modules_that_do_not_fit_are_refused(settings, said, make_job):
    job = make_job("llama", trainer="ia3", ia3=settings)
    with pytest.raises(HopelessError, match=said):
        Ia3().add_adapter(load_for_training(job.base)[0], job)
