"""Recipes with lists of numbers: the recipes that they stand for, and lists that stand for nothing."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from raysweep.config.document import ConfigError, Document
from raysweep.config.groups import in_name, number_keys, spelled_out
from raysweep.config.loading import config_from, load_config, to_yaml
from raysweep.config.schema import SweepConfig
from tests.config.mistakes import screen
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


MANY = ", ".join(f"{number / 1000}" for number in range(1, 40))
ILL = [
    "lr: []",
    "lr: [0.1, 0.2, 0.1]",
    "epochs: [1, 1.0]",
    "lr: [1e-3]",
    "epochs: [1, two]",
    "lr: [true]",
    "lr: [.nan, 0.1]",
    "lr: [0.1, null]",
    "lr: [[0.1]]",
    "lr: [0.1, 5]",
    "trainer: [full, lora]",
    "compile: [true, false]",
    "trainer: lora, lora: {preset: [study, peft]}",
    "lora: {r: [4, 8]}",
    "epochs: [1, 2], steps: 3",
    "lrr: [1, 2], lr: [0.1, 0.2]",
    "select: {by: validation_loss}",
    "lr: [0.1, 0.2], warmup: 3",
    "lr: [0.001, 0.002], epochs: [1, 2], batch_size: 100",
    f"lr: [{MANY}], clip: [{MANY}]",
    ("lr: [0.1, 0.2]", "models.0.pretrain.recipe=some"),
    ("lr: [0.1, 0.2]", "models.0.recipes=[some, some]"),
]


def test_a_list_that_stands_for_nothing_is_one_error(snapshot):
    assert screen(ILL, errors) == snapshot


def test_a_name_that_another_recipe_has_is_refused():
    document = spelled({"x": {"lr": [0.1]}, "x.lr0.1": {}}, [])
    assert document.wrong == (
        "recipes.x: one of its recipes would be called 'x.lr0.1', as another recipe is; rename one",
    )
