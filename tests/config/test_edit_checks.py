"""Bad recipes of editors, and bad `edits`: each gives one line with its place, the value and the way out."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from raysweep.config.document import ConfigError
from raysweep.config.loading import load_config
from tests.config.test_schema import NANO, tiny_folder
from tests.models.test_versions import make_adapter

EDITS = "edits={perturbations: [C1], pairs: 2}"
CREME = "recipes.creme={trainer: creme}"
USED = "models.0.recipes=[tiny, creme]"


def finding(overrides: Sequence[str]) -> str:
    """The only thing that is wrong, without the override that says it."""
    with pytest.raises(ConfigError) as caught:
        load_config(NANO, overrides)
    (found,) = caught.value.findings
    for override in overrides:
        found = found.removeprefix("--set ").removeprefix(f"{override}, ")
    return found


def test_editors_and_prompt_pairs_are_taken_beside_and_in_place_of_training_sets():
    assert load_config(NANO, [EDITS, CREME, USED]).edits is not None
    assert load_config(NANO, [EDITS, CREME, "models.0.recipes=[creme]", "training=null"]).training is None


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("{trainer: creme, workers: 2}", "recipes.creme.workers: an editor (creme) changes a model in one process"),
        ("{trainer: rome, parallel: zero3}", "recipes.creme.parallel: an editor (rome) changes a model in one proc"),
        ("{trainer: creme, lr: 1.0e-2}", "recipes.creme.lr: it is of trainings, and creme has its own: write `edit: {"),
        ("{trainer: rome, epochs: 3}", "recipes.creme.epochs: an editor (rome) trains on no rows, so it has no eff"),
        ("{trainer: dinm, lora: {r: 4}}", "recipes.creme.lora: an editor (dinm) trains on no rows, so it has no eff"),
        ("{trainer: creme, edit: {stepps: 3}}", "recipes.creme.edit: editor 'creme' has no argument 'stepps'"),
        ("{trainer: dinm, edit: {samples: 3}}", "recipes.creme.edit: editor 'dinm' has no argument 'samples'"),
        ("{trainer: creme, edit: {lr: 0}}", "recipes.creme.edit: editor creme: lr 0 must be above 0"),
        (
            "{trainer: creme, edit: {temperature: 0}}",
            "recipes.creme.edit: `temperature: 0` with `samples: 5`: greedy samples are equal; write `samples: 1`",
        ),
        ("{trainer: creme, edit: {positions: window}}", "recipes.creme.edit: `positions: window` must be all, last"),
        (
            "{trainer: creme, edit: {edit_at: lats}}",
            "recipes.creme.edit: editor 'creme', argument 'edit_at': must be 'auto', 'first', 'middle', 'last', "
            "'random', 'dinm' or a whole number, not 'lats' (did you mean 'last'?)",
        ),
        (
            "{trainer: rome, edit: {edit_at: auto}}",
            "recipes.creme.edit: editor 'rome', argument 'edit_at': must be 'first', 'middle', 'last', 'random', "
            "'dinm' or a whole number, not 'auto'; creme alone has auto",
        ),
        (
            "{trainer: creem}",
            "recipes.creme.trainer: unknown trainer 'creem'; known: full, ia3, lora; also: creme, dinm, lora_edit, "
            "rome, self-denoising (did you mean 'creme'?)",
        ),
        (
            "{trainer: lora, edit: {lr: 1.0e-4}}",
            "recipes.creme.edit: these are arguments of an editor, and `trainer: lora` is none; one of creme, dinm, ",
        ),
        ("{trainer: self-denoising, edit: {lr: 1.0e-4}}", "recipes.creme.edit: these are arguments of an editor, and"),
        ("{trainer: self-denoising, workers: 2}", "recipes.creme.workers: `trainer: self-denoising` trains nothing"),
        ("{trainer: self-denoising, lr: 1.0e-2}", "recipes.creme.lr: `trainer: self-denoising` trains nothing; leave"),
        ("{trainer: crème}", "recipes.creme.trainer: unknown trainer 'crème'; known: full, ia3, lora; also: creme, "),
    ],
)
def test_a_recipe_of_an_editor_that_cannot_be_used_is_refused(recipe, expected):
    others = ["recipes.dinm={trainer: dinm}", "models.0.recipes=[dinm]", "training=null"]
    assert finding([EDITS, f"recipes.creme={recipe}", *others]).startswith(expected)


@pytest.mark.parametrize("targets", [["q_proj"], None])
def test_an_argument_may_be_a_list_or_null(targets):
    recipe = f"recipes.creme={{trainer: lora_edit, edit: {{targets: {json.dumps(targets)}}}}}"
    assert load_config(NANO, [EDITS, recipe, USED]).recipes["creme"].edit == {"targets": targets}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([CREME, USED], "models.0.recipes: recipe 'creme' edits models from prompt pairs (creme), and there is no"),
        ([EDITS], "edits: no model has a recipe that edits it; give one `trainer: creme`"),
        ([EDITS, CREME], "edits: no model has a recipe that edits it; give one `trainer: creme`"),
        (
            ["edits={perturbations: [C2]}", CREME, USED],
            "edits.perturbations.0: pairs are found where models were judged on 'C2'; add it to `evaluation.pert",
        ),
        (["edits={perturbations: [clean]}", CREME, USED], "edits.perturbations.0: a pair is a clean prompt and a"),
        (["edits={perturbations: [C1, C1]}", CREME, USED], "edits.perturbations.1: the perturbation 'C1' is listed"),
        (["edits={perturbations: []}", CREME, USED], "edits.perturbations: must not be empty"),
        (["edits={perturbations: [C1], pairs: 0}", CREME, USED], "edits.pairs: must be at least 1, not 0"),
        (["edits={perturbations: [C1], problems: []}", CREME, USED], "edits.problems: must not be empty"),
        (["edits={perturbations: [c1]}", CREME, USED], "edits.perturbations.0: "),
        (
            [EDITS, CREME, USED, "strengths={C1: 0}"],
            "edits.perturbations.0: 'C1' changes no prompt, since `strengths` gives it 0; there are no pairs",
        ),
        (
            [EDITS, CREME, USED, "evaluation.pairs={base: []}"],
            "edits.perturbations.0: `evaluation.pairs` has base models judged without 'C1'",
        ),
        (
            ["edits={perturbations: [C1], problems: [MiniCode/1, HumanEval/49]}", CREME, USED],
            "edits.problems.1: no problem of minicode is called 'HumanEval/49'; the first is 'MiniCode/0'",
        ),
        (
            ["edits={perturbations: [C1], problems: [MiniCode/1, MiniCode/1]}", CREME, USED],
            "edits.problems.1: the problem 'MiniCode/1' is listed twice; each must differ",
        ),
    ],
)
def test_prompt_pairs_that_there_cannot_be_are_refused(overrides, expected):
    assert finding(overrides).startswith(expected)


def test_a_generator_that_cannot_run_a_changed_matrix_is_refused():
    overrides = [EDITS, CREME, USED, "evaluation.generator=vllm"]
    with pytest.raises(ConfigError) as caught:
        load_config(NANO, overrides)  # which may lack the environment of vllm, too
    expected = "recipe 'creme' edits model 'llama', and generator vllm can't run a changed matrix; use `generator: tra"
    assert any(f" evaluation.generator: {expected}" in found for found in caught.value.findings)


def test_an_adapter_cannot_be_edited(tiny, tmp_path):
    adapter = make_adapter(tiny["llama"], "llama", "lora", tmp_path / "adapter")
    model = f"models=[{{name: a, path: {adapter.location}, template: raw, recipes: [creme]}}]"
    found = finding([EDITS, CREME, model, "training=null"])
    assert found.startswith(f"models.0.recipes: {adapter.location} is an adapter; merge it into its base before")


def test_a_family_that_does_not_say_where_its_blocks_are_cannot_be_edited(tmp_path):
    folder = tiny_folder(tmp_path, json.dumps({"model_type": "gpt_neox"}))
    found = finding([EDITS, CREME, f"models=[{{name: a, path: {folder}, template: raw, recipes: [creme]}}]"])
    assert found.startswith("models.0.path: recipe 'creme' edits model 'a': models of type 'gpt_neox' can't be edited")
    bloom = "models.0.pretrain={family: bloom, source: {name: minicode, rows: 96}, recipe: tiny}"
    found = finding([EDITS, CREME, USED, bloom])
    assert found.startswith("models.0.pretrain.family: recipe 'creme' edits model 'llama': models of type 'bloom'")


@pytest.mark.parametrize("block", [1, -1, 32])
def test_a_block_that_the_model_lacks_is_refused_before_work(block):
    found = finding([EDITS, f"recipes.creme={{trainer: creme, edit: {{edit_at: {block}}}}}", USED])
    assert found.startswith(f"recipes.creme.edit: `edit_at: {block}` names no block of model 'llama', which has 1")


def test_an_editor_whose_own_block_the_model_lacks_is_refused_before_work():
    found = finding([EDITS, "recipes.creme={trainer: rome}", USED])
    assert found.startswith("recipes.creme.edit: `edit_at: 5` names no block of model 'llama', which has 1; write a")
    assert found.endswith("or first, middle, last, random or dinm; creme alone has auto, too")
