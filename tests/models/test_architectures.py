"""Every causal architecture of transformers can be trained, adapted and judged, with or without a family here.

Each model is tiny and random, built from its architecture's own config.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep.errors import HopelessError
from raysweep.generators.base import GENERATORS, cut_at_stop
from raysweep.models.families.base import FAMILIES, lora_targets
from raysweep.models.finding import resolve
from raysweep.models.loading import empty_network, load_model
from raysweep.records import Decoding, GenerationRequest, ModelKind, ModelRef, Spec, TrainingRow
from raysweep.rows.parquet import write_rows
from raysweep.trainers.adapters import adapted_modules
from raysweep.trainers.base import TRAINERS, Recipe, TrainJob
from raysweep.trainers.lora import STATE_SPACE, Lora
from tests.generators.writing import texts_of_generate
from tests.models.configs import ARCHITECTURES, GENERATED
from tests.models.tiny import cases, is_same, logits_of
from tests.services import FolderServices, Interrupted
from tests.tiny import pairs, training_rows
from tests.trainers.conftest import tensors_of

pytestmark = pytest.mark.slow

SOME = [("gemma2", "lora"), ("gpt_neox", "full"), ("deepseek_v3", "lora")]
"""One with windows, one with fused projections, one with experts and latent attention; the others are long."""
STOP = ("\ndef", "\n#")


def job_of(
    model_type: str, model: ModelRef, out: Path, trainer: str, checkpoint_every: int = 0, **fields: Any
) -> TrainJob:
    out.mkdir()
    rows = training_rows(24)
    write_rows(out / "rows.parquet", TrainingRow, rows, ["row_id"])
    recipe = Recipe(trainer=trainer, **{"lr": 1e-2, "batch_size": 8, "steps": 4, "template": "raw", **fields})
    return TrainJob(model, model_type, recipe, out / "rows.parquet", out, 7, model_type, checkpoint_every)


def trained(job: TrainJob, **services: Any) -> ModelRef:
    TRAINERS.create(Spec(job.recipe.trainer)).train(job, FolderServices(**services))
    return resolve(str(job.out)).ref()


def same(one: ModelRef, other: ModelRef) -> bool:
    return is_same(tensors_of(Path(one.location)), tensors_of(Path(other.location)))


@pytest.mark.parametrize(
    ("model_type", "trainer"), cases(itertools.product((*ARCHITECTURES, "gemma3n_text"), ("full", "lora")), SOME)
)
def test_an_architecture_is_trained_resumed_and_judged(model_type, trainer, random, tmp_path):
    start = random(model_type)
    # PEFT has no dropout for experts, which transformers 5 holds in one tensor
    fields = {"lora": {"dropout": 0.0}} if trainer == "lora" and "deepseek" in model_type else {}
    if trainer == "lora" and model_type == "gemma3n_text":  # a new one's gates get zeros, and no gradients
        fields = {"lora": {"targets": ["q_proj", "v_proj", "o_proj"]}}
    whole = trained(job_of(model_type, start, tmp_path / "whole", trainer, **fields))
    assert whole.kind is (ModelKind.ADAPTER if trainer == "lora" else ModelKind.FULL)
    assert trainer == "lora" or not same(whole, start)

    job = job_of(model_type, start, tmp_path / "parts", trainer, checkpoint_every=2, **fields)
    with pytest.raises(Interrupted):
        trained(job, folder=tmp_path / "checkpoint", die_after=2)
    assert same(trained(job, folder=tmp_path / "checkpoint"), whole)

    generator = GENERATORS.create(Spec("transformers", {"batch_tokens": 300}), model=whole, decoding=Decoding(24))
    requests = [GenerationRequest(str(i), f"t{i}", prompt, 0, STOP) for i, (prompt, _) in enumerate(pairs(6))]
    completions = generator.generate(requests)
    texts = texts_of_generate(*load_model(whole), [request.prompt for request in requests], 24)
    assert [completion.text for completion in completions] == [cut_at_stop(text, STOP)[0] for text in texts]
    of_the_base = GENERATORS.create(Spec("transformers"), model=start, decoding=Decoding(24))
    before, alone = logits_of(of_the_base.network), [c.text for c in of_the_base.generate(requests)]
    assert of_the_base.use(whole) and [c.text for c in of_the_base.generate(requests)] == [c.text for c in completions]
    assert of_the_base.use(start) and torch.equal(logits_of(of_the_base.network), before)
    assert [c.text for c in of_the_base.generate(requests)] == alone


@pytest.mark.parametrize("lora", [{"targets": "all-linear"}, {"train_embeddings": True, "modules_to_save": ["norm"]}])
def test_lora_takes_all_linear_layers_and_copies_of_further_modules(lora, random, tmp_path):
    model = trained(job_of("qwen2", random("qwen2"), tmp_path / "out", "lora", lora=lora))
    names = " ".join(tensors_of(Path(model.location)))
    assert ("up_proj.lora_A" in names) == ("targets" in lora)
    assert ("embed_tokens" in names and "model.norm.weight" in names) == ("train_embeddings" in lora)


def test_a_module_to_save_that_the_model_lacks_is_refused(random, tmp_path):
    with pytest.raises(HopelessError, match="qwen2 model has no module 'embed_token'"):
        trained(job_of("qwen2", random("qwen2"), tmp_path / "out", "lora", lora={"modules_to_save": ["embed_token"]}))


def test_targets_come_from_the_family_then_from_peft_then_they_are_all_linear_layers():
    assert lora_targets("llama") == list(FAMILIES.get("llama").lora_targets)
    assert lora_targets("qwen2") == ["q_proj", "v_proj"]
    assert lora_targets("an-architecture-of-tomorrow") == "all-linear"


@pytest.mark.parametrize("model_type", sorted(STATE_SPACE))
def test_lora_leaves_out_what_peft_cannot_adapt(model_type, random, tmp_path):
    if model_type not in GENERATED:
        pytest.skip(f"no tiny {model_type}")
    start = random(model_type)
    job = job_of(model_type, start, tmp_path / "out", "lora", lora={"targets": "all-linear"})
    adapted = Lora().add_adapter(empty_network(start), job)
    assert "in_proj" in adapted_modules(adapted)
    assert not {"out_proj", "lm_head"} & set(adapted_modules(adapted))


def test_a_named_layer_that_peft_cannot_adapt_is_refused_with_those_to_write(random, tmp_path):
    job = job_of("mamba", random("mamba"), tmp_path / "out", "lora", lora={"targets": ["in_proj", "out_proj"]})
    with pytest.raises(HopelessError) as error:
        Lora().add_adapter(empty_network(random("mamba")), job)
    assert str(error.value) == (
        "`lora.targets` names 'out_proj', which PEFT can't adapt in mamba models; write some of "
        "`targets: [in_proj, x_proj, dt_proj]`, or `targets: all-linear`"
    )
