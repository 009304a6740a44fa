"""Attention that knows where the rows of a pass are, beside transformers' masks of all pairs of tokens."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from raysweep.models.loading import load_model
from raysweep.models.whole_texts import needs_cache, whole_pass
from raysweep.trainers.batching import collate, collate_packed, compact
from raysweep.trainers.objectives.responses import weighted_loss
from raysweep.trainers.passes import attention
from raysweep.trainers.passes.attention import NAME, RowAttention
from tests.models.configs import make_random
from tests.models.tiny import cases

pytestmark = pytest.mark.slow
TYPES = ("llama", "gpt_bigcode", "qwen2", "mistral", "gemma2", "phi3", "gpt_neox", "starcoder2", "qwen3", "granite")
WITH_WINDOWS = ("mistral", "gemma2")


def rows(lengths: list[int]) -> list[Any]:
    chance = random.Random(3)
    made = []
    for length in lengths:
        ids, answer = [chance.randrange(5, 300) for _ in range(length)], length - length // 3
        made.append(compact({"input_ids": ids, "weights": [0.0] * (length // 3) + [1 / answer] * answer}))
    return made


def loss_and_gradients(network: Any, batch: dict[str, torch.Tensor]) -> tuple[float, dict[str, torch.Tensor]]:
    network.zero_grad()
    loss = weighted_loss(network, batch, batch["weights"])
    loss.backward()
    return float(loss.detach()), {name: one.grad for name, one in network.named_parameters() if one.grad is not None}


def network_of(model_type: str, folder: Path, window: int = 64) -> Any:
    fields = {"sliding_window": window} if model_type in WITH_WINDOWS else {}
    network = load_model(make_random(model_type, folder, **fields))[0]
    needs_cache(network)  # which tries it with short texts, once
    return network


@pytest.fixture
def masks(monkeypatch):
    """How often a mask was made."""
    made: list[int] = []
    plain = attention._mask
    monkeypatch.setattr(attention, "_mask", lambda *args, **given: made.append(plain(*args, **given)) or made[-1])
    attention._register.cache_clear()
    yield lambda: sum(mask is not None for mask in made)
    attention._register.cache_clear()


@pytest.mark.parametrize(
    ("model_type", "window"),
    cases(
        [*((name, None) for name in TYPES), *((name, 16) for name in WITH_WINDOWS)],
        [("llama", None), ("gpt_bigcode", None), ("mistral", 16)],
    ),
)
def test_rows_that_lie_one_after_the_other_have_the_loss_and_gradients_of_padded_ones(
    model_type, window, tmp_path, masks
):
    """A window that is shorter than a row is kept, by a mask."""
    network = network_of(model_type, tmp_path, window or 64)
    some = rows([37, 12, 45, 1, 28])
    loss, expected = loss_and_gradients(network, collate(some, 999, 1))
    packed = collate_packed(some)
    told = RowAttention(network)
    told.know(packed, some)
    found, gradients = loss_and_gradients(network, packed)
    assert bool(masks()) == bool(window)
    assert found == pytest.approx(loss, rel=1e-6)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert float((gradient - expected[name]).norm()) <= 1e-6 * max(float(expected[name].norm()), 1e-3), name
    told.close()
    assert network.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("model_type", cases(TYPES, ("llama", "gpt_bigcode")))
def test_a_row_sees_nothing_of_another(model_type, tmp_path):
    network = network_of(model_type, tmp_path)
    some, told = rows([20, 9, 33]), RowAttention(network)
    logits = []
    for change in (0, 1):
        some[1]["input_ids"][4] += change
        packed = collate_packed(some)
        told.know(packed, some)
        with torch.no_grad():
            logits.append(
                whole_pass(network, input_ids=packed["input_ids"], position_ids=packed["position_ids"]).logits[0]
            )
    of_others = [*range(24), *range(29, 62)]
    assert torch.equal(logits[0][of_others], logits[1][of_others])
    assert not torch.equal(logits[0][24:29], logits[1][24:29])


@pytest.mark.parametrize("lengths", [[37, 12, 45, 28], [45, 45]], ids=["padded", "as they are"])
@pytest.mark.parametrize("model_type", cases(TYPES, ("llama", "gpt_bigcode")))
def test_rows_beside_each_other_have_the_same_bits_without_a_mask(model_type, lengths, tmp_path, masks):
    network = network_of(model_type, tmp_path)
    some = rows(lengths)
    batch = collate(some, 999, 1)
    loss, expected = loss_and_gradients(network, batch)
    told = RowAttention(network)
    told.know(batch, some)
    found, gradients = loss_and_gradients(network, batch)
    assert not masks() and found == loss
    assert all(torch.equal(gradient, expected[name]) for name, gradient in gradients.items())
    other = {**batch, "attention_mask": batch["attention_mask"].clone()}  # of an objective's own
    assert loss_and_gradients(network, other)[0] == loss
    if len(set(lengths)) == 1:
        return told.close()
    of_a_pass = masks()
    network.base_model(input_ids=batch["input_ids"], attention_mask=other["attention_mask"])
    assert masks() == 2 * of_a_pass > 0, "what was known is of the pass before"
    batch["attention_mask"][0, 0] = 0
    loss_and_gradients(network, batch)
    assert masks() == 3 * of_a_pass, "it was changed"
    told.close()


def test_a_model_with_code_of_its_own_for_sdpa_keeps_it(tmp_path):
    network = network_of("falcon", tmp_path)
    RowAttention(network)
    assert network.config._attn_implementation != NAME


@pytest.mark.parametrize(
    ("capability", "width", "dtype", "expected"),
    [
        ((9, 0), 128, torch.bfloat16, attention._flash),
        ((9, 0), 256, torch.bfloat16, attention._flash),
        ((8, 6), 256, torch.bfloat16, attention._memory_efficient),
        ((7, 0), 128, torch.float16, attention._memory_efficient),
        ((9, 0), 128, torch.float32, attention._memory_efficient),
        ((9, 0), 20, torch.bfloat16, None),
    ],
)
def test_the_kernel_is_one_that_the_gpu_has_forward_and_backward(capability, width, dtype, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    states = SimpleNamespace(device=torch.device("cuda"), shape=(1, 4, 62, width))
    assert attention._kernel(states, states, dtype) is expected


def test_a_block_that_is_computed_again_knows_its_rows_too(tmp_path):
    from raysweep.trainers.passes.activations import recompute_blocks

    network = network_of("llama", tmp_path).train()
    some = rows([20, 9, 33])
    packed = collate_packed(some)
    RowAttention(network, recomputes=True).know(packed, some)
    expected = loss_and_gradients(network, packed)
    recompute_blocks(network)
    found = loss_and_gradients(network, packed)
    assert found[0] == expected[0]
    assert all(torch.equal(gradient, expected[1][name]) for name, gradient in found[1].items())


@pytest.mark.parametrize("kernel", [attention._flash, attention._memory_efficient])
def test_kernels_of_gpus_get_states_of_the_shapes_that_they_take(kernel):
    """Torch computes the shapes only, forward and backward; the numbers take a GPU (benchmarks/gpu.py)."""
    dtype = torch.bfloat16 if kernel is attention._flash else torch.float32
    states = [torch.empty(1, 62, heads, 16, dtype=dtype, device="meta", requires_grad=True) for heads in (4, 2, 2)]
    lengths = attention._Rows([20, 9, 33], torch.empty(4, dtype=torch.int32, device="meta"))
    output = kernel(*states, lengths, 0.1, None)
    assert output.shape == (1, 62, 4, 16)
    output.sum().backward()
    assert all(one.grad.shape == one.shape for one in states)
