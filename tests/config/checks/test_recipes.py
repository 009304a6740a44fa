"""Groups of recipes that can't be compared, and choices that can't be made."""

from __future__ import annotations

import pytest

from raysweep.config.grid import build_grid
from raysweep.config.loading import load_config
from raysweep.errors import Finding
from raysweep.trainers.base import OBJECTIVES, TRAINERS, Recipe
from raysweep.trainers.full import Full
from raysweep.trainers.objectives.dpo import Dpo
from tests.config.mistakes import findings, screen
from tests.config.test_groups import VALIDATION, config, errors
from tests.paths import NANO

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


class OwnTrainer(Full):
    """A trainer of another package, whose `check` knows nothing of raysweep's training loop."""

    name = "own"

    def check(self, recipe: Recipe, on_gpu: bool) -> list[Finding]:
        return []


class OwnObjective(Dpo):
    """An objective of another package, whose `check` knows nothing of others."""

    name = "own"

    def check(self, recipe: Recipe) -> list[Finding]:
        return []


@pytest.mark.parametrize(
    ("recipe", "key"),
    [
        ("trainer: own, workers: 20, parallel: ddp", "workers"),
        ("trainer: own, offload: optimizer", "offload"),
        ("trainer: own, clip: 2, clip_value: 1", "clip"),
        ("trainer: own, optimizer: adafactor, eps: 1.0e-6", "eps"),
        ("trainer: own, compat: safecoder, length_buckets: 4", "length_buckets"),
        ("objective: own, batching: packed", "batching"),
        ("objective: own, batching: packed, objective_args: {beta: -1}", "batching"),
        ("objective: own, compat: safecoder", "compat"),
    ],
)
def test_what_the_training_loop_can_not_follow_is_refused_whatever_the_part_checks(recipe, key, monkeypatch):
    monkeypatch.setitem(TRAINERS._classes, "own", OwnTrainer)
    monkeypatch.setitem(OBJECTIVES._classes, "own", OwnObjective)
    found = findings(NANO, f"recipes.some={{{recipe}}}")
    assert any(line.startswith(f"recipes.some.{key}: ") for line in found)
    monkeypatch.setattr(OwnTrainer, "uses_objective", False)
    if "trainer" in recipe:
        load_config(NANO, [f"recipes.some={{{recipe}}}"])
