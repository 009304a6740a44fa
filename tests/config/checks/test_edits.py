"""Bad recipes of editors, and bad `edits`: each gives one line with its place, the value and the way out."""

from __future__ import annotations

import json

import pytest

from raysweep.config.loading import load_config
from tests.config.mistakes import adapter_folder, doubts, findings, screen, tiny_folder
from tests.paths import NANO

EDITS = "edits={perturbations: [C1], pairs: 2}"
CREME = "recipes.creme={trainer: creme}"
USED = "models.0.recipes=[tiny, creme]"
RECIPES = [
    "{trainer: creme, workers: 2}",
    "{trainer: rome, parallel: zero3}",
    "{trainer: creme, lr: 1.0e-2}",
    "{trainer: rome, epochs: 3}",
    "{trainer: dinm, lora: {r: 4}}",
    "{trainer: creme, edit: {stepps: 3}}",
    "{trainer: dinm, edit: {samples: 3}}",
    "{trainer: creme, edit: {lr: 0}}",
    "{trainer: creme, edit: {temperature: 0}}",
    "{trainer: creme, edit: {positions: window}}",
    "{trainer: creme, edit: {edit_at: lats}}",
    "{trainer: rome, edit: {edit_at: auto}}",
    "{trainer: creme, edit: {lr: [1.0e-3, 1.0e-4]}}",
    "{trainer: creme, edit: {edit_at: [first, last]}}",
    "{trainer: lora_edit, edit: {targets: [1, 2]}}",
    "{trainer: creme, edit: {lrr: [1, 2]}}",
    "{objective: fait, objective_args: {alpha: [1, 2]}}",
    "{trainer: creem}",
    "{trainer: lora-edit}",
    "{trainer: crème}",
    "{trainer: lora, edit: {lr: 1.0e-4}}",
    "{trainer: self-denoising, edit: {lr: 1.0e-4}}",
    "{trainer: self-denoising, workers: 2}",
    "{trainer: self-denoising, lr: 1.0e-2}",
    "{trainer: full, examples: 2}",
    "{trainer: rome, examples: 2}",
]
PAIRS = [
    (CREME, USED),
    (EDITS,),
    (EDITS, CREME),
    ("edits={perturbations: [C2]}", CREME, USED),
    ("edits={perturbations: [c1]}", CREME, USED),
    ("edits={perturbations: [clean]}", CREME, USED),
    ("edits={perturbations: [C1, C1]}", CREME, USED),
    ("edits={perturbations: []}", CREME, USED),
    ("edits={perturbations: [C1], pairs: 0}", CREME, USED),
    ("edits={perturbations: [C1], problems: []}", CREME, USED),
    ("edits={perturbations: [C1], problems: [MiniCode/1, HumanEval/49]}", CREME, USED),
    ("edits={perturbations: [C1], problems: [MiniCode/1, MiniCode/1]}", CREME, USED),
    (EDITS, CREME, USED, "strengths={C1: 0}"),
    (EDITS, "recipes.creme={trainer: creme, examples: 9}", USED),
    ("edits={perturbations: [C1], problems: [MiniCode/1], transfer: true}", CREME, "recipes.creme.examples=2", USED),
    (EDITS, CREME, USED, "evaluation.pairs={base: []}"),
    (EDITS, "recipes.creme={trainer: creme, edit: {edit_at: 1}}", USED),
    (EDITS, "recipes.creme={trainer: creme, edit: {edit_at: -1}}", USED),
    (EDITS, "recipes.creme={trainer: rome}", USED),
    (EDITS, CREME, USED, "models.0.pretrain={family: bloom, source: {name: minicode, rows: 96}, recipe: tiny}"),
]


def finding(*overrides: str) -> str:
    (found,) = findings(NANO, *overrides)
    return found


def test_editors_and_prompt_pairs_are_taken_beside_and_in_place_of_training_sets():
    assert load_config(NANO, [EDITS, CREME, USED]).edits is not None
    assert load_config(NANO, [EDITS, CREME, "models.0.recipes=[creme]", "training=null"]).training is None


def test_a_recipe_of_an_editor_that_cannot_be_used_is_refused(snapshot):
    others = ["recipes.dinm={trainer: dinm}", "models.0.recipes=[dinm]", "training=null"]
    assert screen(RECIPES, lambda of: findings(NANO, EDITS, f"recipes.creme={of}", *others)) == snapshot


@pytest.mark.parametrize("targets", [["q_proj"], None])
def test_an_argument_may_be_a_list_or_null(targets):
    recipe = f"recipes.creme={{trainer: lora_edit, edit: {{targets: {json.dumps(targets)}}}}}"
    assert load_config(NANO, [EDITS, recipe, USED]).recipes["creme"].edit == {"targets": targets}


def test_prompt_pairs_that_there_cannot_be_are_refused(snapshot):
    assert screen(PAIRS) == snapshot


def test_examples_that_no_model_takes_may_be_more_than_there_are():
    unused = "recipes.other={trainer: creme, examples: 9}"
    assert load_config(NANO, [EDITS, CREME, USED, unused]).recipes["other"].examples == 9


def test_further_greedy_answers_are_said_to_be_the_same(caplog):
    (said,) = doubts(caplog, EDITS, CREME, USED, "edits.found_on=own")
    assert "edits.found_on: answers are greedy" in said and "leave `found_on` out" in said


def test_a_generator_that_cannot_run_a_changed_matrix_is_refused():
    found = findings(NANO, EDITS, CREME, USED, "evaluation.generator=vllm")  # whose environment may be missing, too
    expected = "recipe 'creme' edits model 'llama', and generator vllm can't run a changed matrix; use `generator: tra"
    assert any(line.startswith(f"evaluation.generator: {expected}") for line in found)


def test_an_adapter_cannot_be_edited(tmp_path):
    adapter = adapter_folder(tmp_path)
    found = finding(
        EDITS, CREME, f"models=[{{name: a, path: {adapter}, template: raw, recipes: [creme]}}]", "training=null"
    )
    assert found.startswith(f"models.0.recipes: {adapter} is an adapter; merge it into its base before")


def test_a_family_that_does_not_say_where_its_blocks_are_cannot_be_edited(tmp_path):
    folder = tiny_folder(tmp_path, json.dumps({"model_type": "gpt_neox"}))
    found = finding(EDITS, CREME, f"models=[{{name: a, path: {folder}, template: raw, recipes: [creme]}}]")
    assert found.startswith("models.0.path: recipe 'creme' edits model 'a': models of type 'gpt_neox' can't be edited")


def test_a_doubt_about_one_editor_hides_no_mistake_of_another():
    doubtful = "recipes.creme={trainer: creme, edit: {most_change: 30}}"
    overrides = [EDITS, doubtful, "recipes.rome={trainer: rome, edit: {edit_at: 30}}", "models.0.recipes=[creme, rome]"]
    found = finding(*overrides, "training=null")
    assert "recipes.rome.edit: `edit_at: 30` names no block of model 'llama', which has 1; write a number" in found
