"""What recipes name exists in the models that they train, also in those that a sweep is going to pre-train."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from raysweep.config.loading import load_config
from raysweep.errors import UsageError
from raysweep.planning.models import model_lines, require_recipes_fit
from raysweep.planning.plan import SweepPlan
from raysweep.planning.planner import build_plan
from tests.models.configs import make_random
from tests.models.test_loading import LACKING, renamed
from tests.models.test_traits import rewrite
from tests.paths import NANO

WRONG = [
    ("trainer: lora, lora: {targets: [q_prj]}", "q_prj"),
    ("trainer: lora, lora: {modules_to_save: [embed_token]}", "no module 'embed_token'"),
    ("trainer: ia3, ia3: {targets: [k_proj], feedforward: [down_proj]}", "`ia3.feedforward` names 'down_proj'"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_modules_that_a_model_to_be_pre_trained_lacks_are_told_before_work(settings, message):
    recipe = f"recipes.other={{{settings}, epochs: 1, max_tokens: 256}}"
    plan = build_plan(load_config(NANO, [recipe, "models.0.recipes=[other]"]))
    with pytest.raises(UsageError, match=f"recipes.other doesn't fit model llama: .*{message}"):
        require_recipes_fit(plan.cells)


def test_modules_that_it_has_are_taken():
    recipe = (
        "recipes.other={trainer: lora, lora: {targets: [q_proj], modules_to_save: [embed_tokens]}, max_tokens: 256}"
    )
    require_recipes_fit(build_plan(load_config(NANO, [recipe, "models.0.recipes=[other]"])).cells)


def test_modules_that_an_edit_by_lora_names_are_looked_for_before_work():
    recipe = "recipes.edited={trainer: lora_edit, edit: {targets: TARGETS}}"
    for targets in ("[q_proj, down_proj]", "null", "[q_porj]"):
        given = [recipe.replace("TARGETS", targets), "models.0.recipes=[edited]", "edits.perturbations=[C1]"]
        cells = build_plan(load_config(NANO, given)).cells
        if targets != "[q_porj]":
            require_recipes_fit(cells)
    with pytest.raises(
        UsageError, match=r"^recipes.edited.edit: this llama model has no module 'q_porj', which `edit.t"
    ):
        require_recipes_fit(cells)


def test_packed_rows_are_refused_before_work_where_a_model_would_mix_them():
    packed, codegen = "recipes.tiny.batching=packed", "models.0.pretrain.family=codegen"
    size = "models.0.pretrain.size={n_embd: 16, n_head: 2, n_layer: 1, n_inner: 32, rotary_dim: 4}"
    require_recipes_fit(build_plan(load_config(NANO, [packed])).cells)
    require_recipes_fit(build_plan(load_config(NANO, [codegen, size])).cells)
    with pytest.raises(UsageError, match="doesn't go with model llama: a codegen model mixes packed rows"):
        require_recipes_fit(build_plan(load_config(NANO, [packed, codegen, size])).cells)


def test_modules_that_peft_refuses_are_told_by_their_kinds_with_the_way_out(tmp_path):
    path = make_random("llama", tmp_path).location
    recipe = "recipes.lora={trainer: lora, lora: {targets: [q_proj, input_layernorm]}, epochs: 1, max_tokens: 256}"
    model = f"models=[{{name: mine, path: {path}, recipes: [lora]}}]"
    with pytest.raises(UsageError) as refused:
        require_recipes_fit(build_plan(load_config(NANO, [recipe, model])).cells)
    assert str(refused.value).startswith(
        "recipes.lora doesn't fit model mine: PEFT can't adapt what the recipe names of this llama model "
        "(input_layernorm, q_proj): "
    )
    assert str(refused.value).endswith("; name others as `targets`") and "layers.0" not in str(refused.value)


@pytest.mark.parametrize(("names", "message"), LACKING)
def test_a_model_whose_files_lack_weights_is_refused_before_work(names, message, tmp_path):
    make_random("llama", tmp_path / "model", tie_word_embeddings=False, num_hidden_layers=2)
    plan = existing(tmp_path / "model")
    require_recipes_fit(plan.cells)
    renamed(tmp_path / "model", names)
    with pytest.raises(UsageError, match=message):
        require_recipes_fit(existing(tmp_path / "model").cells)


def test_what_is_not_read_of_a_model_and_its_tokenizer_is_told_before_work(tmp_path):
    model = Path(make_random("llama", tmp_path / "model").location)
    evaluated = f"models.0={{name: own, path: {model}, recipes: []}}"
    require_recipes_fit(existing(model).cells)
    rewrite(model / "config.json", logits_scaling=8.0)
    for cells in (existing(model).cells, build_plan(load_config(NANO, [evaluated])).cells):
        with pytest.raises(UsageError, match="has `logits_scaling`"):
            require_recipes_fit(cells)
    rewrite(model / "config.json", logits_scaling=None)
    rewrite(model / "tokenizer_config.json", tokenizer_class="OfTomorrow")
    with pytest.raises(UsageError, match=r"the tokenizer of .* can't be loaded: .*OfTomorrow"):
        require_recipes_fit(build_plan(load_config(NANO, [evaluated])).cells)


def test_tensors_that_a_model_leaves_out_are_a_line_of_the_plan(tmp_path):
    model = Path(make_random("llama", tmp_path / "model").location)
    assert require_recipes_fit(existing(model).cells) == {}
    weights = model / "model.safetensors"
    save_file({**load_file(weights), "score.weight": torch.ones(2)}, weights, {"format": "pt"})
    plan = existing(model)
    ((name, words),) = require_recipes_fit(plan.cells).items()
    assert (name, words.partition(",")[0]) == ("own", "its files hold 1 tensor")
    assert f"own: {words}" in model_lines(plan)


def existing(model: Path) -> SweepPlan:
    given = f"models.0={{name: own, path: {model}, recipes: [tiny]}}"
    return build_plan(load_config(NANO, [given, "recipes.tiny.max_tokens=256"]))
