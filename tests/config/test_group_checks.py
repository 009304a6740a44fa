"""Groups of recipes that can't be compared, and choices that can't be made."""

from __future__ import annotations

import pytest

from raysweep.config.document import ConfigError
from raysweep.config.grid import build_grid
from tests.config.test_groups import VALIDATION, config, errors


def test_a_choice_needs_validation_rows():
    (error,) = errors("lr: [0.1, 0.2], select: {by: validation_loss}", "training.validation=null")
    assert error == (
        "recipes.some.select: a recipe is chosen by the loss of validation rows, and the rows of `training.source` "
        "have none; name some as `training.validation`"
    )
    assert len(errors("lr: [0.1, 0.2], select: {epochs_by: checkpoint}", "training.validation=null")) == 1


@pytest.mark.parametrize("measure", ["pass@1", "RD", "loss"])
def test_a_metric_of_an_evaluated_set_chooses_nothing(measure):
    (error,) = errors(f"lr: [0.1, 0.2], select: {{by: {measure}}}")
    assert error.startswith("recipes.some.select.by: recipes are chosen by `validation_loss`")
    assert f"not by '{measure}': to choose by a metric of an evaluated set is to choose by the test" in error


def test_losses_of_other_rows_do_not_compare():
    (error,) = errors("max_tokens: [128, 256], select: {by: validation_loss}")
    assert error.startswith("recipes.some.max_tokens: the losses by which one is chosen would be of other rows")
    assert config("max_tokens: [128, 256]").models[0].recipes == ["some.max_tokens128", "some.max_tokens256"]


def test_recipes_of_a_group_are_of_one_kind_and_trainings():
    other = "recipes.other={trainer: lora, group: some, select: {by: validation_loss}}"
    (error,) = errors(
        "group: some, select: {by: validation_loss}", other, "recipes.some.group=mine", "recipes.other.group=mine"
    )
    assert "all recipes of the group 'mine' need the same `trainer`, and " in error
    found = errors("trainer: dinm, lr: [0.1, 0.2]", "edits={perturbations: [C1]}")
    assert found == [
        "recipes.some.trainer: a group, which lists of numbers stand for, is one of trainings, and 'dinm' trains no "
        "model; write the recipe without lists and `group`"
    ]


def test_a_group_has_a_name_of_its_own_and_a_choice_has_a_group():
    (error,) = errors("group: scratch")
    assert error.endswith("recipes.scratch: a group of recipes is called 'scratch', too; rename one of them")
    with pytest.raises(ConfigError, match="`epochs_by: checkpoint` chooses among the epochs of a training"):
        config("lr: [0.1, 0.2], keep: last, select: {epochs_by: checkpoint}")


def test_candidates_have_no_pairs_and_the_cell_of_their_group_follows_them():
    grid = build_grid(config("lr: [0.1, 0.2], select: {by: validation_loss}", VALIDATION))
    pairs = {cell.id: len(grid.pairs_of(cell)) for cell in grid.cells}
    assert list(pairs.items()) == [
        ("llama.base", 2),
        ("llama.some.lr0.1.C1.s7", 0),
        ("llama.some.lr0.2.C1.s7", 0),
        ("llama.some.C1.s7", 2),
    ]
    everything = build_grid(config("lr: [0.1, 0.2]"))
    assert [len(everything.pairs_of(cell)) for cell in everything.cells] == [2, 2, 2]
