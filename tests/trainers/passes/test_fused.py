"""Fused LoRA layers and norms beside PEFT's and transformers'."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.t5.modeling_t5 import T5LayerNorm

from raysweep.errors import UsageError
from raysweep.models.families.base import FAMILIES
from raysweep.models.loading import architecture_of, auto_model
from raysweep.records import ModelRef, Spec
from raysweep.trainers.base import Recipe, TrainJob
from raysweep.trainers.loop import seeded_torch
from raysweep.trainers.lora import Lora
from raysweep.trainers.passes import fused
from raysweep.trainers.passes.activations import recompute_blocks
from raysweep.trainers.sharding.choice import check_settings
from tests.models.tiny import cases
from tests.tiny import SIZES

pytestmark = pytest.mark.filterwarnings("ignore:fan_in_fan_out")

TOKENS = 64
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "float16": torch.float16}
EVERY, STUDY = {"targets": "all-linear"}, {"preset": "study"}
SMOOTH = {"t5": {"feed_forward_proj": "gated-gelu"}}
"""In 16 bits a sum near 0 may have either sign, and the gradient of ReLU jumps there."""
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": TOKENS, "bos_token_id": 0, "eos_token_id": 0}
"""Its layers are transformers' Conv1D; tests draw no other dropout than PEFT's."""
WITHOUT_DROPOUT = {"embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0}


def build(family: str, precision: str = "float32", kernels: str = "plain", dtype: str = "", **lora: Any) -> Any:
    """Return a tiny model with an adapter that acts, in training. `dtype`: of the weights before, if not the same."""
    with seeded_torch(0, family):
        if family in FAMILIES.names():
            config = FAMILIES.create(Spec(family)).tiny_config(TOKENS, 0, **{**SIZES[family], **SMOOTH.get(family, {})})
        else:
            config = CONFIG_MAPPING[family](**GPT2, **WITHOUT_DROPOUT)
        model = auto_model(architecture_of(config)).from_config(config)
        for name, weights in model.named_parameters():
            if weights.dim() == 1:  # norms begin with 1, and biases with 0
                torch.nn.init.normal_(weights, float("weight" in name), 0.1)
        model.to(DTYPES[dtype or precision]).to(DTYPES[precision])
        lora = {"alpha": 20, "dropout": 0.1, **lora}  # no power of two, whose products are exact
        recipe = Recipe(trainer="lora", precision=precision, kernels=kernels, lora=lora)
        model = Lora().add_adapter(model, TrainJob(ModelRef("base"), family, recipe, Path(), Path(), 0, "test"))
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, std=0.02)
    if kernels == "fused":
        fused.fuse(model, precision)
    return model.train()


def learned(model: Any, precision: str = "float32") -> tuple[float, dict[str, torch.Tensor]]:
    """Return the loss of some texts, and its gradients by name."""
    ids = torch.randint(0, TOKENS, (3, 17), generator=torch.Generator().manual_seed(3))
    inputs = {"decoder_input_ids": ids} if architecture_of(model.config) == "seq2seq" else {}
    with seeded_torch(4, "dropout"):
        with torch.autocast("cpu", DTYPES[precision]) if precision != "float32" else contextlib.nullcontext():
            logits = model(input_ids=ids, use_cache=False, **inputs).logits.float()
            loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
    return loss.item(), {name: weights.grad for name, weights in model.named_parameters() if weights.grad is not None}


def apart(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> float:
    """Return the relative difference of some gradients to others, all tensors together."""
    assert some.keys() == others.keys() and all(tensor.dtype == torch.float32 for tensor in some.values())
    differences = sum(float((some[name] - other).square().sum()) for name, other in others.items())
    return (differences / sum(float(other.square().sum()) for other in others.values())) ** 0.5


@pytest.mark.parametrize(
    ("family", "lora"),
    [
        *((family, STUDY) for family in ("llama", "qwen2", "gpt_bigcode", "codegen", "bloom")),
        *((family, EVERY) for family in ("t5", "gpt2")),
        ("llama", EVERY | {"dropout": 0.0}),
        ("gpt_bigcode", {"train_embeddings": True}),
    ],
    ids=str,
)
def test_every_target_of_every_family_has_peft_s_loss_and_gradients_in_float32(family, lora, monkeypatch):
    loss, gradients = learned(build(family, **lora))
    monkeypatch.setattr("peft.tuners.lora.layer.Linear.forward", None)  # so that no layer is left to PEFT
    found, ours = learned(build(family, kernels="fused", **lora))
    assert found == pytest.approx(loss, rel=2e-7)
    assert apart(ours, gradients) < 1e-6
    assert all(apart({name: ours[name]}, {name: one}) < 3e-6 for name, one in gradients.items() if one.any())


@pytest.mark.parametrize(
    ("family", "precision"),
    cases(
        [(family, precision) for family in [*SIZES, "gpt2"] for precision in ("bf16", "float16")],
        [("llama", "bf16"), ("gpt_bigcode", "float16"), ("t5", "bf16"), ("gpt2", "bf16")],
    ),
)
def test_in_16_bits_gradients_are_as_near_to_float32_s_as_peft_s_are(family, precision):
    exact, gradients = learned(build(family, dtype=precision, **EVERY))
    theirs, plain = learned(build(family, precision, **EVERY), precision)
    ours, found = learned(build(family, precision, "fused", **EVERY), precision)
    assert apart(found, gradients) < 1.5 * apart(plain, gradients)
    assert apart(found, plain) < 2 * apart(plain, gradients)
    assert abs(ours - exact) < abs(theirs - exact) + 2e-3


def test_activations_that_are_computed_again_have_the_same_dropout():
    model, again = build("llama", kernels="fused"), build("llama", kernels="fused")
    recompute_blocks(again)
    loss, gradients = learned(model)
    found, ours = learned(again)
    assert found == loss and apart(ours, gradients) == 0


def test_16_bits_are_computed_with_and_without_autocast():
    results = [learned(build("gpt_bigcode", "bf16", "fused"), precision) for precision in ("bf16", "float32")]
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-3)
    assert apart(results[0][1], results[1][1]) < 0.05


def second_adapter(model: Any) -> None:
    model.add_adapter("second", model.peft_config["default"])
    model.base_model.set_adapter(["default", "second"])


@pytest.mark.parametrize(
    "change",
    [
        second_adapter,
        lambda model: model.base_model.disable_adapter_layers(),
        lambda model: model.merge_adapter(),
        lambda model: [setattr(module, "p", 1.0) for module in model.modules() if isinstance(module, torch.nn.Dropout)],
    ],
    ids=["two adapters", "disabled", "merged", "all dropped"],
)
def test_what_is_no_usual_update_is_peft_s(change):
    logits = []
    for kernels in ("plain", "fused"):
        model = build("llama", kernels=kernels)
        with seeded_torch(0, "another"):
            change(model)
        with torch.no_grad(), seeded_torch(4, "dropout"):
            logits.append(model(input_ids=torch.arange(5, 37)[None]).logits)
    torch.testing.assert_close(logits[1], logits[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("more", [{"use_dora": True}, {"bias": "all"}, {"lora_bias": True}], ids=str)
def test_other_forms_of_lora_are_peft_s(more):
    from peft import LoraConfig, get_peft_model

    network = torch.nn.Sequential(torch.nn.Linear(6, 5))
    model = get_peft_model(network, LoraConfig(r=2, target_modules=["0"], init_lora_weights=False, **more))
    results = []
    for _ in range(2):
        model.zero_grad()
        model(torch.arange(18.0).reshape(3, 6)).square().sum().backward()
        results.append({name: weights.grad for name, weights in model.named_parameters() if weights.requires_grad})
        with pytest.raises(UsageError, match=r"would fuse nothing: .*; use `kernels: plain`"):
            fused.fuse(model, "float32")
    assert len(results[0]) > 2
    for name, gradient in results[0].items():
        assert torch.equal(results[1][name], gradient), name


@pytest.mark.parametrize(
    ("norm", "is_fused"),
    [
        (LlamaRMSNorm(8), True),
        (T5LayerNorm(8), True),
        (torch.nn.LayerNorm(8), True),
        (torch.nn.LayerNorm(8, bias=False), True),
        (GemmaRMSNorm(8), False),  # multiplies by 1 + weight
        (torch.nn.LayerNorm(8, elementwise_affine=False), False),
        (torch.nn.BatchNorm1d(8).eval(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_norms_are_fused_where_they_compute_what_torch_s_do(norm, is_fused):
    assert fused._formula(norm) is None  # it is trained
    for weights in norm.requires_grad_(False).parameters():
        torch.nn.init.normal_(weights)
    assert (fused._formula(norm) is not None) == is_fused


def test_a_model_of_which_nothing_is_fused_is_refused():
    with pytest.raises(UsageError, match="has no linear layer with LoRA; use `kernels: plain`"):
        fused.fuse(torch.nn.Linear(2, 2), "bf16")
    with pytest.raises(UsageError, match="are held in bfloat16, and only plain LoRA on float32 is fused; use `kernels"):
        fused.fuse(build("gpt2", "bf16"), "float32")


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, 0),
        ({"workers": 2, "precision": "bf16", "gradient_checkpointing": True, "batching": "packed"}, 0),
        ({"trainer": "full", "workers": 2}, 1),
        ({"trainer": "ia3", "compile": True}, 1),
        ({"compat": "safecoder"}, 1),
        ({"parallel": "zero3"}, 1),
        ({"compile": True}, 1),
    ],
    ids=str,
)
def test_what_fused_kernels_do_not_go_with_is_one_finding(fields, found):
    recipe = Recipe(**{"trainer": "lora", "kernels": "fused", **fields})
    assert [key for key, _ in check_settings(recipe, on_gpu=True)].count("kernels") == found
