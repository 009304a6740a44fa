"""Adapters trained on bases in 4 and 8 bits, beside PEFT's own way of doing it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from raysweep.errors import HopelessError
from raysweep.models.quantizing import trained_in
from raysweep.records import ModelKind, ModelRef
from raysweep.trainers.loop import seeded_torch
from raysweep.trainers.passes import fused as kernels
from tests.services import FolderServices
from tests.trainers.conftest import difference, loop_of, own_loss, train, train_and_resume

pytest.importorskip("bitsandbytes")
pytestmark = pytest.mark.slow

NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
CONFIGS = {"nf4": {**NF4, "bnb_4bit_compute_dtype": torch.float32}, "int8": {"load_in_8bit": True}}
LORA = {"r": 4, "alpha": 8, "dropout": 0.0, "targets": ["q_proj", "v_proj", "down_proj"]}


def pefts_losses(job, quantize):
    """PEFT's documented way, with transformers' loading and torch's optimizer: the loss of each step."""
    loop = loop_of(job)
    with seeded_torch(job.seed, "initialise"):
        config = BitsAndBytesConfig(**CONFIGS[quantize])
        model = AutoModelForCausalLM.from_pretrained(job.base.location, quantization_config=config, dtype="float32")
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        of_lora = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, lora_dropout=0.0, target_modules=LORA["targets"])
        model = get_peft_model(model, of_lora).train()
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # whose product in bf16 has no gradient
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, losses = torch.optim.AdamW(trained, lr=job.recipe.lr, weight_decay=0.01), []
    for step in range(job.recipe.steps):
        rows = [loop.data.rows[row] for row in loop.order.rows(step)]
        loss = sum(own_loss(model, row) for row in rows) / len(rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, job.recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("quantize", ["nf4", "int8"])
def test_losses_are_those_of_pefts_own_loop(quantize, make_job):
    job = make_job("llama", trainer="lora", lora=LORA, schedule="constant", warmup=0.0)
    theirs = pefts_losses(job, quantize)
    services = FolderServices()
    train(dataclasses.replace(job, base=dataclasses.replace(job.base, quantize=quantize)), services)
    ours = [report.loss for report in services.reports]
    assert ours == pytest.approx(theirs, abs=1e-6), "of the same rows, seeds and optimizer"


@pytest.mark.parametrize("quantize", ["nf4", "int8"])
def test_an_adapter_says_in_which_format_its_base_was_held(quantize, make_job):
    job = make_job("llama", trainer="lora", steps=1, lora=LORA)
    train(dataclasses.replace(job, base=dataclasses.replace(job.base, quantize=quantize)))
    assert trained_in(ModelRef(str(job.out), ModelKind.ADAPTER)) == quantize


def test_a_whole_copy_of_a_quantized_layer_is_refused(make_job):
    lora = {"targets": ["q_proj"], "modules_to_save": ["lm_head", "down_proj"]}
    job = make_job("llama", trainer="lora", steps=1, lora=lora)
    with pytest.raises(HopelessError, match="trains all of 'down_proj', which is held in `quantize: nf4`; name it in"):
        train(dataclasses.replace(job, base=dataclasses.replace(job.base, quantize="nf4")))


@pytest.mark.parametrize(("precision", "rounding"), [("bf16", 2e-3), ("float32", 1e-6)])
def test_fused_kernels_train_the_same_adapter_but_for_rounding(precision, rounding, make_job, tmp_path, monkeypatch):
    fields = {"trainer": "lora", "lora": LORA | {"dropout": 0.1}, "precision": precision, "eps": 1e-4}
    jobs = [make_job("llama", kernels, kernels=kernels, **fields) for kernels in ("plain", "fused")]
    plain, fused = (dataclasses.replace(job, base=dataclasses.replace(job.base, quantize="nf4")) for job in jobs)
    expected, function, uses = train(plain), kernels._lora_function(), []
    monkeypatch.setattr(kernels, "_lora_function", lambda: uses.append(1) or function)
    found = train_and_resume(dataclasses.replace(fused, checkpoint_every=3), tmp_path, 3)
    assert found["losses"] == [[step, pytest.approx(loss, rel=rounding)] for step, loss in expected["losses"]]
    assert uses and 0 < difference(fused.out, plain.out) < 10 * rounding
