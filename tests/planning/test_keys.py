"""The parts of keys that recipes give: what an older raysweep wrote is found again."""

from __future__ import annotations

import pytest

from raysweep.config.grid import Cell
from raysweep.planning.keys import adapter_spec, decoding_spec, prompt_spec, recipe_spec
from raysweep.planning.plan import CellPlan
from raysweep.records import BASE, Decoding
from raysweep.trainers.base import Recipe


@pytest.mark.parametrize(
    ("recipe", "spec"),
    [
        (Recipe(trainer="lora"), {"lora_targets": ["q_proj", "v_proj"]}),
        (Recipe(trainer="lora", lora={"preset": "study"}), {"lora_targets": ["q_proj", "v_proj"]}),
        (Recipe(trainer="lora", lora={"preset": "peft"}), {"lora_targets": ["q_proj", "v_proj"]}),
        (Recipe(trainer="lora", lora={"targets": ["q_proj"]}), {}),
        (Recipe(trainer="ia3"), {"ia3_targets": (["q_proj", "v_proj", "down_proj"], ["down_proj"])}),
        (Recipe(trainer="ia3", ia3={"targets": ["q_proj", "down_proj"]}), {"ia3_feedforward": ["down_proj"]}),
        (Recipe(trainer="ia3", ia3={"targets": ["q_proj", "down_proj"], "feedforward": []}), {}),
        (Recipe(trainer="ia3", ia3={"targets": ["q_proj"]}), {}),
        (Recipe(trainer="full"), {}),
    ],
)
def test_the_key_of_a_qwen2_adapter_is_the_one_from_before_it_was_a_family(recipe, spec):
    assert adapter_spec(recipe, "qwen2") == spec


@pytest.mark.parametrize("family", ["bloom", "t5"])
@pytest.mark.parametrize("lora", [{}, {"preset": "study"}, {"preset": "peft"}])
def test_the_key_of_a_bloom_or_t5_adapter_is_the_one_from_before_it_was_a_family(family, lora):
    targets = {"bloom": ["query_key_value"], "t5": ["q", "v"]}
    assert adapter_spec(Recipe(trainer="lora", lora=lora), family) == {"lora_targets": targets[family]}
    assert adapter_spec(Recipe(trainer="lora", lora={**lora, "targets": ["q"]}), family) == {}
    scaled = {
        "bloom": (["query_key_value", "mlp.dense_4h_to_h"], ["mlp.dense_4h_to_h"]),
        "t5": (["k", "v", "wo"], ["wo"]),
    }
    assert adapter_spec(Recipe(trainer="ia3"), family) == {"ia3_targets": scaled[family]}


def test_the_key_of_a_llama_adapter_names_modules_only_where_peft_chooses_them():
    assert adapter_spec(Recipe(trainer="lora"), "llama") == {}
    assert adapter_spec(Recipe(trainer="lora", lora={"preset": "study"}), "llama") == {}
    peft = adapter_spec(Recipe(trainer="lora", lora={"preset": "peft"}), "llama")
    assert peft == {"lora_targets": ["q_proj", "v_proj"]}


def test_fields_that_came_later_are_in_keys_only_where_they_are_given():
    plain = recipe_spec(Recipe())
    assert not {"optimizer", "clip_value", "keep"} & plain.keys()
    assert {"betas", "eps", "clip"} <= plain.keys()
    given = recipe_spec(Recipe(optimizer="adafactor", clip_value=0.3))
    unused = {"betas", "eps", "clip"}  # AdamW's, and the norm
    assert given == {name: value for name, value in plain.items() if name not in unused} | {
        "optimizer": "adafactor",
        "clip_value": 0.3,
    }
    assert recipe_spec(Recipe(keep="best")) == plain | {"keep": "best"}


def test_beams_are_in_keys_only_where_there_are_some():
    greedy = {"max_new_tokens": 9, "temperature": 0.0, "samples": 1}
    assert decoding_spec(Decoding(9), "transformers") == greedy
    searched = {**greedy, "beams": 4, "early_stopping": False}
    assert decoding_spec(Decoding(9, beams=4, early_stopping=False), "transformers") == searched


@pytest.mark.parametrize(
    ("template", "version"),
    [
        ("raw", {}),
        ("repair_buggy_line", {}),
        ("repair_infill", {"version": 5}),
        ("repair_seq2seq_plain", {"version": 2}),  # its base fills a mask
    ],
)
def test_templates_for_repair_that_have_changed_name_a_version(template, version):
    cell = Cell("one", BASE, BASE, 0)
    plan = CellPlan(cell, None, (), None, Decoding(), "native", template, "", (), None)
    assert prompt_spec(plan) == {"format": "native", "tuned": False, "template": template, **version}
    of_recipe = recipe_spec(Recipe(template=template))
    assert of_recipe.get("prompts") == (5 if template == "repair_infill" else None)  # what models train on, too
