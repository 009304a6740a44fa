"""Groups of recipes that can't be compared, and choices that can't be made."""

from __future__ import annotations

from raysweep.config.grid import build_grid
from tests.config.mistakes import screen
from tests.config.test_groups import VALIDATION, config, errors

ILL = [
    ("lr: [0.1, 0.2], select: {by: validation_loss}", "training.validation=null"),
    ("lr: [0.1, 0.2], select: {epochs_by: checkpoint}", "training.validation=null"),
    "lr: [0.1, 0.2], select: {by: pass@1}",
    "lr: [0.1, 0.2], select: {by: loss}",
    "max_tokens: [128, 256], select: {by: validation_loss}",
    "lr: [0.1, 0.2], keep: last, select: {epochs_by: checkpoint}",
    "group: scratch",
    (
        "group: some, select: {by: validation_loss}",
        "recipes.other={trainer: lora, group: some, select: {by: validation_loss}}",
        "recipes.some.group=mine",
        "recipes.other.group=mine",
    ),
    ("trainer: dinm, lr: [0.1, 0.2]", "edits={perturbations: [C1]}"),
]


def test_a_group_that_can_not_be_compared_or_chosen_from_is_one_error(snapshot):
    assert screen(ILL, errors) == snapshot


def test_recipes_that_are_not_chosen_from_may_have_losses_of_other_rows():
    assert config("max_tokens: [128, 256]").models[0].recipes == ["some.max_tokens128", "some.max_tokens256"]


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
