"""The parts of keys that recipes and prompts give."""

from __future__ import annotations

import dataclasses

import pytest

from raysweep.config.grid import Cell
from raysweep.planning.keys import adapter_spec, decoding_spec, prompt_spec, recipe_spec
from raysweep.planning.plan import CellPlan
from raysweep.records import BASE, Decoding
from raysweep.trainers.base import Recipe

LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SCALED = {
    "qwen2": (["q_proj", "v_proj", "down_proj"], ["down_proj"]),
    "bloom": (["query_key_value", "mlp.dense_4h_to_h"], ["mlp.dense_4h_to_h"]),
    "t5": (["k", "v", "wo"], ["wo"]),
}


@pytest.mark.parametrize(
    ("family", "preset", "targets"),
    [
        ("qwen2", None, ["q_proj", "v_proj"]),
        ("bloom", "study", ["query_key_value"]),
        ("t5", "peft", ["q", "v"]),
        ("llama", "peft", ["q_proj", "v_proj"]),
        ("llama", None, LLAMA),
    ],
)
def test_the_key_of_an_adapter_names_the_modules_that_its_recipe_does_not(family, preset, targets):
    lora = {"preset": preset} if preset else {}
    assert adapter_spec(Recipe(trainer="lora", lora=lora), family) == {"lora_targets": targets}
    assert adapter_spec(Recipe(trainer="lora", lora={**lora, "targets": ["q_proj"]}), family) == {}


@pytest.mark.parametrize("family", SCALED)
def test_the_key_of_an_ia3_adapter_names_what_its_recipe_leaves_to_the_family(family):
    targets, (feedforward,) = SCALED[family]
    assert adapter_spec(Recipe(trainer="ia3"), family) == {"ia3_targets": (targets, [feedforward])}
    given = [targets[0], feedforward]
    assert adapter_spec(Recipe(trainer="ia3", ia3={"targets": given}), family) == {"ia3_feedforward": [feedforward]}
    assert adapter_spec(Recipe(trainer="ia3", ia3={"targets": given, "feedforward": []}), family) == {}
    assert adapter_spec(Recipe(trainer="ia3", ia3={"targets": targets[:1]}), family) == {}
    assert adapter_spec(Recipe(trainer="full"), family) == {}


def test_all_fields_of_a_recipe_that_count_are_in_its_key():
    plain = recipe_spec(Recipe(), {})
    fields = {
        name: value
        for name, value in dataclasses.asdict(Recipe()).items()
        if name not in ("edit", "day", "template_arguments")
    }
    assert plain == fields | {"parallel": "ddp", "prompts": 1}
    unused = {"betas", "eps", "clip"}  # AdamW's, and the norm
    given = {name: value for name, value in plain.items() if name not in unused}
    changed = {"optimizer": "adafactor", "clip_value": 0.3}
    assert recipe_spec(Recipe(optimizer="adafactor", clip_value=0.3), {}) == given | changed
    assert recipe_spec(Recipe(keep="best"), {}) == plain | {"keep": "best"}


def test_when_a_search_ends_is_in_the_key_where_there_are_beams():
    greedy = {"max_new_tokens": 9, "temperature": 0.0, "samples": 1, "beams": 1}
    assert decoding_spec(Decoding(9), "transformers") == greedy
    searched = {**greedy, "beams": 4, "early_stopping": False}
    assert decoding_spec(Decoding(9, beams=4, early_stopping=False), "transformers") == searched


def test_the_key_of_a_prompt_names_template_and_system_prompt():
    plan = CellPlan(Cell("one", BASE, BASE, 0), None, (), None, Decoding(), "native", "instruct", "Hi", (), None)
    shown = {"format": "native", "tuned": False, "template": "instruct", "system": "Hi"}
    assert prompt_spec(plan, {}) == {**shown, "prompts": 1}
    raw = dataclasses.replace(plan, prompt_format="raw")
    assert prompt_spec(raw, {}) == {**shown, "format": "raw", "prompts": 1, "blanks": "kept"}, "once they were stripped"
    assert "blanks" not in prompt_spec(dataclasses.replace(raw, template="raw"), {})
    assert prompt_spec(plan, {"day": "2024-07-26"}) == {**shown, "prompts": 1, "day": "2024-07-26"}
