"""Choices: the lowest validation loss, whatever the order and the names, and losses that can't be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from raysweep.config.loading import load_config
from raysweep.errors import HopelessError
from raysweep.planning.choice import chosen_of, with_choice
from raysweep.planning.missing import awaited_tasks, is_made, missing
from raysweep.planning.plan import CellPlan, CompletionsPlan, QualityPlan, ResultsPlan, SelectionPlan, SweepPlan
from raysweep.planning.planner import build_plan
from raysweep.records import CandidateLoss
from raysweep.stages.inputs import model_ref
from raysweep.stages.selection import choose_model
from raysweep.stages.training import VALIDATION_SET
from raysweep.storage.artefacts import Node
from raysweep.storage.store import Store
from raysweep.storage.uses import CHOSEN
from raysweep.trainers.base import KEPT_STEP
from tests.paths import NANO
from tests.stages.making import opened, work_on
from tests.storage.stores import commit

SCRATCH = ["recipes.scratch={epochs: 1, batch_size: 16, max_tokens: 256}", "models.0.pretrain.recipe=scratch"]
VALIDATION = "training.validation={name: minicode, part: pretraining, rows: 8}"
RATES = (0.001, 0.002, 0.003)


def plan(rates: str = "[0.001, 0.002, 0.003]", *overrides: str, name: str = "some") -> SweepPlan:
    recipe = f"recipes.{name}={{lr: {rates}, batch_size: 16, max_tokens: 256, select: {{by: validation_loss}}}}"
    return build_plan(load_config(NANO, [*SCRATCH, VALIDATION, recipe, f"models.0.recipes=[{name}]", *overrides]))


def cell_of(plan: SweepPlan) -> CellPlan:
    return next(cell for cell in plan.cells if cell.selection)


def by_rate(cell: CellPlan) -> dict[float, CellPlan]:
    return {one.recipe.lr: one for one in cell.selection.candidates if one.recipe is not None}


def keys_of(cell: CellPlan) -> dict[float, str]:
    """Return the keys of candidates' models by learning rate."""
    return {rate: one.model.key for rate, one in by_rate(cell).items() if one.model}


@pytest.fixture
def store(tmp_path):
    return opened(tmp_path)


def train(cell: CellPlan, store: Store, losses: Mapping[float, Any], **counts: Any) -> None:
    """Commit candidates' models in the order of their losses: numbers after each epoch, by learning rate."""
    for rate, of in losses.items():
        one = by_rate(cell)[rate]
        curve = [[4 * epoch, loss] for epoch, loss in enumerate(of, start=1)]
        own = {"validation_losses": curve, "steps": 4 * len(of), VALIDATION_SET: one.validation.node.key}
        commit(store, one.model, {**own, **counts})


def choose(cell: CellPlan, store: Store) -> float:
    """Make the choice and return the learning rate of the chosen model."""
    choose_model(SelectionPlan(cell.selection.node, cell), work_on(store))
    chosen = chosen_of(cell, store)
    return chosen.recipe.lr


def test_the_lowest_loss_of_the_last_epoch_is_chosen(store):
    cell = cell_of(plan())
    train(cell, store, {0.001: [0.5, 0.4], 0.002: [0.2, 0.31], 0.003: [0.9, 0.3]})
    assert choose(cell, store) == 0.003
    rows = {row.model_key: row for row in store.rows(cell.selection.node, CandidateLoss)}
    keys = keys_of(cell)
    assert {rate: (rows[key].loss, rows[key].kept_step, rows[key].steps) for rate, key in keys.items()} == {
        0.001: (0.4, 8, 8),
        0.002: (0.31, 8, 8),
        0.003: (0.3, 8, 8),
    }


@pytest.mark.parametrize(
    ("losses", "counts"),
    [
        ([[0.5, 0.4], [0.2, 0.6], [0.9, 0.3]], {KEPT_STEP: 4}),  # the loss is that of the epoch that was kept
        ([[0.9, 0.8, 0.2], [0.3, 0.2], [0.4, 0.3, 0.2]], {}),  # of equal losses the shorter training is chosen
        ([[math.nan], [0.7], [math.inf]], {}),  # a loss that isn't finite is never chosen
    ],
)
def test_the_second_of_three_is_chosen(losses, counts, store):
    cell = cell_of(plan())
    train(cell, store, dict(zip(RATES, losses, strict=True)), **counts)
    assert choose(cell, store) == RATES[1]


def test_neither_names_nor_the_order_of_lists_or_trainings_change_a_choice(tmp_path):
    losses = {0.001: [0.5], 0.002: [0.2], 0.003: [0.2]}
    found = set()
    for number, (rates, name) in enumerate([("[0.001, 0.002, 0.003]", "some"), ("[0.003, 0.002, 0.001]", "other")]):
        store = opened(tmp_path / str(number))
        cell = cell_of(plan(rates, name=name))
        train(cell, store, dict(reversed(losses.items())) if number else losses)
        found.add((cell.selection.node.key, choose(cell, store), tuple(pair.results.key for pair in cell.pairs)))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("loss", "counts", "words"),
    [
        (math.nan, {}, "none of its 3 candidates has a finite validation loss"),
        (0.5, {VALIDATION_SET: "of others"}, r"llama\.some\.lr1e-3\.C1\.s7: .* without these validation rows"),
        (0.5, {VALIDATION_SET: None}, "without these validation rows"),
        (0.5, {"validation_losses": []}, "its trainer 'full' reports no validation losses"),
        (0.5, {KEPT_STEP: 99}, "its trainer 'full' kept step 99, of which it reports no validation loss"),
    ],
)
def test_without_a_finite_loss_or_with_losses_of_other_rows_or_none_nothing_is_chosen(store, loss, counts, words):
    cell = cell_of(plan())
    train(cell, store, {rate: [loss] for rate in RATES}, **counts)
    with pytest.raises(HopelessError, match=words):
        choose(cell, store)


def test_models_have_the_keys_of_recipes_that_are_spelled_out_and_the_choice_depends_on_its_rows():
    cell = cell_of(plan())
    alone = plan("[0.002]", "recipes.alone={lr: 0.002, batch_size: 16, max_tokens: 256}", "models.0.recipes=[alone]")
    (spelled_out,) = [one.model.key for one in alone.cells if one.model]
    candidate = by_rate(cell)[0.002].model
    assert candidate.key == spelled_out
    other = cell_of(plan("[0.001, 0.002, 0.003]", "training.validation.rows=9"))
    assert keys_of(other) == keys_of(cell)
    assert cell.selection.node.key != other.selection.node.key
    assert cell.pairs[0].results.key != other.pairs[0].results.key


def test_a_cell_awaits_its_candidates_and_then_the_chosen_one_alone(store):
    swept = plan()
    cell = cell_of(swept)
    names = {one.cell.id for one in by_rate(cell).values()}
    lacking = [item for item in missing(swept.targets, store) if item.task == cell.cell.id]
    assert set(awaited_tasks(lacking, names, store)) == names and lacking[0].node is not None
    assert lacking[0].node.stage == "selection"
    with pytest.raises(AssertionError, match="no model was chosen"):
        model_ref(cell)
    train(cell, store, {0.001: [0.5], 0.002: [0.2], 0.003: [0.3]})
    choose(cell, store)
    chosen = by_rate(cell)[0.002]
    assert with_choice(cell, store).model == chosen.model
    store.drop(chosen.model)
    lacking = missing(swept.targets, store)
    assert chosen.cell.id in {item.task for item in lacking}, "its results are still to be made"
    of_cell = [item for item in lacking if item.task == cell.cell.id]
    assert awaited_tasks(of_cell, names, store) == (chosen.cell.id,)


def test_what_another_model_wrote_is_lacking_and_the_linting_already_while_none_is_chosen(store):
    cell = cell_of(plan())
    train(cell, store, {0.001: [0.5], 0.002: [0.2], 0.003: [0.3]})
    choose(cell, store)
    (pair, *_), keys = cell.pairs, keys_of(cell)
    linting = QualityPlan(Node("quality", 1, {}, (pair.completions.key,), "linting"), cell, pair, (0,), "batch")
    made = [CompletionsPlan(pair.completions, cell, pair), ResultsPlan(pair.results, cell, pair), linting]

    def lacking(model: str | None) -> list[str]:
        for item in made:
            if store.has(item.node):
                store.remove(item.node)
            commit(store, item.node, {"level": "strong", **({CHOSEN: model} if model else {})})
        return [item.node.stage for item in made if not is_made(item, store)]

    assert lacking(None) == lacking(keys[0.002]) == []
    assert lacking(keys[0.001]) == ["completions", "results", "quality"]
    assert lacking(keys[0.002]) == []
    store.remove(cell.selection.node)
    assert lacking(keys[0.002]) == ["quality"]


@pytest.mark.parametrize("keep", ["all", "adapters", "chosen"])
def test_which_models_a_sweep_keeps_is_in_no_key(keep):
    cell, kept = cell_of(plan()), cell_of(plan("[0.001, 0.002, 0.003]", f"keep_models={keep}"))
    assert cell.selection.node.key == kept.selection.node.key
    assert {(one.keeps_model, one.keeps_unchosen) for one in kept.selection.candidates} == {
        {"all": (True, True), "adapters": (False, False), "chosen": (True, False)}[keep]
    }
