"""LoRA as an editor on all architectures: what it trains, what it returns, and what it leaves of its base."""

from __future__ import annotations

import json

import pytest
import torch

from raysweep.errors import HopelessError
from raysweep.models.loading import load_model
from raysweep.records import ModelKind, ModelRef
from raysweep.trainers.editors.descent import target_loss
from raysweep.trainers.editors.lora_edit import LoraEdit
from raysweep.trainers.editors.running import put_on, run_edit
from raysweep.trainers.editors.texts import TextReader
from tests.models.tiny import logits_of
from tests.services import EditServicesHere
from tests.trainers.editors import EDITED

pytestmark = pytest.mark.slow

TARGETS = {
    "llama": ["q_proj", "v_proj"],
    "qwen2": ["q_proj", "v_proj"],
    "gpt_bigcode": ["c_attn"],
    "codegen": ["qkv_proj"],
}


@pytest.mark.parametrize("family", EDITED)
def test_it_trains_the_attention_to_write_the_passing_completion(family, make_edit):
    job = make_edit(family)
    tokens = TextReader(job.base).pair(job.pair)
    edit = run_edit(LoraEdit(lr=1e-2, dropout=0.0), job, EditServicesHere())
    config = json.loads(edit.adapter["adapter_config.json"])
    assert sorted(config["target_modules"]) == TARGETS[family]
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (8, 32, None)
    assert edit.counts["losses"][-1][1] < 0.9 * edit.counts["losses"][0][1]
    with torch.no_grad(), put_on(job.base.network, edit) as edited:
        after = float(target_loss(edited, tokens.perturbed, tokens.passing))
    assert after == pytest.approx(edit.counts["final_loss"], rel=1e-4)  # its files are what was trained


def test_dropout_is_drawn_from_the_seed(make_edit):
    first, again, other = (
        run_edit(LoraEdit(dropout=0.5), make_edit("llama", seed=seed), EditServicesHere()).adapter for seed in (1, 1, 2)
    )
    assert first == again != other


def test_its_files_load_with_the_base_which_has_no_adapter_afterwards(make_edit, wild, tmp_path):
    job = make_edit("llama")
    before = {name: type(module) for name, module in job.base.network.named_modules()}
    edit = run_edit(LoraEdit(), job, EditServicesHere())
    assert {name: type(module) for name, module in job.base.network.named_modules()} == before
    for name, content in edit.adapter.items():
        (tmp_path / name).write_bytes(content)
    model, _ = load_model(ModelRef(str(tmp_path), ModelKind.ADAPTER, wild["llama"]))
    assert not torch.equal(logits_of(model), logits_of(job.base.network))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("q_porj", r"no module 'q_porj', which `edit\.targets` names .did you mean 'q_proj'"),
        ("norm", r"PEFT can't adapt what `edit\.targets` names: Target module .*RMSNorm"),
    ],
)
def test_targets_that_the_model_lacks_or_peft_cannot_adapt_are_refused(target, said, make_edit):
    with pytest.raises(HopelessError, match=said):
        run_edit(LoraEdit(targets=[target]), make_edit("llama"), EditServicesHere())
