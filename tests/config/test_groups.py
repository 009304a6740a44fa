"""Recipes with lists of numbers: the recipes that they stand for, and lists that stand for nothing."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from raysweep.config.document import ConfigError, Document
from raysweep.config.groups import in_name, number_keys, spelled_out
from raysweep.config.loading import config_from, load_config, to_yaml
from raysweep.config.schema import SweepConfig
from tests.paths import NANO

BASE = ["recipes.scratch={epochs: 1, batch_size: 16}", "models.0.pretrain.recipe=scratch", "models.0.recipes=[some]"]
VALIDATION = "training.validation={name: minicode, part: pretraining, rows: 8}"


def config(recipe: str, *overrides: str) -> SweepConfig:
    return load_config(NANO, [*BASE, VALIDATION, f"recipes.some={{{recipe}}}", *overrides])


def errors(recipe: str, *overrides: str) -> list[str]:
    """Return the errors without the place of the line, in which the recipe stands."""
    with pytest.raises(ConfigError) as error:
        config(recipe, *overrides)
    return [finding.rpartition("}, ")[2] for finding in error.value.findings]


def spelled(recipes: dict[str, Any], models: list[Any]) -> Document:
    return spelled_out(Document("test", {"recipes": recipes, "models": models}, {}, {}))


def test_a_number_stands_in_a_name_in_its_shorter_way():
    numbers = (3e-5, 1e-4, 0.01, 0.1, 2, 2.0, 1.5, 1.25e-5, 0.00123, 1000, 1e5, 0.0)
    names = ("3e-5", "1e-4", "0.01", "0.1", "2", "2", "1.5", "1.25e-5", "0.00123", "1000", "100000", "0")
    assert tuple(map(in_name, numbers)) == names


def test_every_key_that_takes_a_number_may_be_a_list():
    assert {("lr",), ("epochs",), ("batch_size",), ("clip_value",), ("lora", "r"), ("lora", "dropout")} <= {
        *number_keys()
    }
    assert not {key[0] for key in number_keys()} & {"trainer", "betas", "keep", "compile", "edit", "objective_args"}


def test_lists_stand_for_the_recipes_that_one_would_spell_out():
    document = spelled(
        {"x": {"lr": [0.1, 0.2], "lora": {"r": [4, 8]}, "trainer": "lora"}, "y": {}}, [{"recipes": ["y", "x"]}]
    )
    names = ["x.lr0.1.r4", "x.lr0.1.r8", "x.lr0.2.r4", "x.lr0.2.r8"]
    assert list(document.value["recipes"]) == [*names, "y"]
    assert document.value["recipes"]["x.lr0.1.r8"] == {"lr": 0.1, "lora": {"r": 8}, "trainer": "lora", "group": "x"}
    assert document.value["models"] == [{"recipes": ["y", *names]}] and not document.wrong
    assert document.as_written(("recipes", "x.lr0.2.r4", "lr")) == ("recipes", "x", "lr")
    assert document.as_written(("models", 0, "recipes", 3)) == ("models", 0, "recipes", 1)
    assert document.as_written(("recipes", "y", "lr")) == ("recipes", "y", "lr")


def test_a_config_without_lists_stays_as_it_is():
    document = Document("test", {"recipes": {"x": {"lr": 0.1}}, "models": [{"recipes": ["x"]}]}, {}, {})
    assert spelled_out(document) is document


def test_a_resolved_config_has_no_lists_and_is_read_again():
    short = "recipes.scratch.max_tokens=256"
    written = config("lr: [0.001, 0.002], max_tokens: 256, select: {by: validation_loss}", short)
    assert written.recipes.keys() >= {"some.lr1e-3", "some.lr2e-3"} and "some" not in written.recipes
    assert config_from(yaml.safe_load(to_yaml(written)), "again") == written


def test_by_checkpoints_only_the_longest_training_stays():
    by_schedule, by_checkpoint = (
        config(f"epochs: [3, 1, 2], lr: [0.001, 0.002], select: {{epochs_by: {value}}}")
        for value in ("schedule", "checkpoint")
    )
    assert len(by_schedule.models[0].recipes) == 6
    assert by_checkpoint.models[0].recipes == ["some.epochs3.lr1e-3", "some.epochs3.lr2e-3"]
    assert {by_checkpoint.recipes[name].keep for name in by_checkpoint.models[0].recipes} == {"best"}
    assert {by_schedule.recipes[name].keep for name in by_schedule.models[0].recipes} == {"last"}


ILL = {
    "lr: []": "recipes.some.lr: the list is empty; give numbers",
    "lr: [0.1, 0.2, 0.1]": "recipes.some.lr: 0.1 is listed twice; each must differ",
    "epochs: [1, 1.0]": "recipes.some.epochs: 1.0 is listed twice; each must differ",
    "lr: [1e-3]": "recipes.some.lr: each entry of the list must be a number, not '1e-3'; YAML takes it for text",
    "lr: [true]": "recipes.some.lr: each entry of the list must be a number, not True",
    "lr: [.nan, 0.1]": "recipes.some.lr: each entry of the list must be a number, not nan",
    "lr: [0.1, null]": "recipes.some.lr: each entry of the list must be a number, not null",
    "lr: [[0.1]]": "recipes.some.lr: each entry of the list must be a number, not [0.1]",
    "lr: [0.1, 5]": "recipes.some.lr: must be at most 1.0, not 5",
    "trainer: [full, lora]": "recipes.some.trainer: only a key that takes a number may be a list",
    "compile: [true, false]": "recipes.some.compile: only a key that takes a number may be a list",
    "trainer: lora, lora: {preset: [study, peft]}": "recipes.some.lora.preset: only a key that takes a number",
    "lora: {r: [4, 8]}": "recipes.some.lora: `lora` counts with `trainer: lora` only; leave its lists out",
    "epochs: [1, 2], steps: 3": "recipes.some.epochs: `steps` takes its place; remove one of them",
    "lrr: [1, 2], lr: [0.1, 0.2]": "recipes.some.lrr: unknown key (did you mean 'lr'?)",
    "select: {by: validation_loss}": "recipes.some.select: there is one recipe to choose among; write numbers as lists",
    "lr: [0.1, 0.2], warmup: 3": "recipes.some.warmup: must be at most 1.0, not 3",
}


@pytest.mark.parametrize("recipe", ILL)
def test_a_list_that_stands_for_nothing_is_one_error(recipe):
    (error,) = errors(recipe)
    assert error.startswith(ILL[recipe])


def test_a_mistake_of_a_whole_group_is_told_once():
    found = errors("lr: [0.001, 0.002], epochs: [1, 2], batch_size: 100")
    assert found == ["recipes.some.batch_size: 100 is more than the 64 rows of `training.source`"]


def test_too_many_recipes_are_refused():
    numbers = ", ".join(f"{number / 1000}" for number in range(1, 40))
    (error,) = errors(f"lr: [{numbers}], clip: [{numbers}]")
    assert error == "recipes.some: its lists stand for 1,521 recipes; at most 1,000 may be"


def test_a_group_makes_no_base_model_and_is_named_once():
    (error,) = errors("lr: [0.1, 0.2]", "models.0.pretrain.recipe=some")
    assert "models.0.pretrain.recipe: 'some' stands for 2 recipes, since it has lists" in error
    (error,) = errors("lr: [0.1, 0.2]", "models.0.recipes=[some, some]")
    assert error.endswith("models.0.recipes.1: the recipe 'some' is listed twice; each must differ")


def test_a_name_that_another_recipe_has_is_refused():
    document = spelled({"x": {"lr": [0.1]}, "x.lr0.1": {}}, [])
    assert document.wrong == (
        "recipes.x: one of its recipes would be called 'x.lr0.1', as another recipe is; rename one",
    )
