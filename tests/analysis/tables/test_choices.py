"""The tables of choices: the chosen recipe beside the next one, and all candidates from the lowest loss on."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from raysweep.analysis.tables.choices import ReportedCandidate, ReportedChoice, candidate_table, choice_table
from raysweep.analysis.tables.score_book import Order

ORDER = Order(models=("m",), training_sets=("base", "clean"), problem_sets=("p",), perturbations=("clean",))
CANDIDATES = (
    ReportedCandidate("lora.lr1e-3", math.nan, 8, 8, is_chosen=False),
    ReportedCandidate("lora.lr1e-4", 0.5, 8, 4, is_chosen=False, losses=((4, 0.5), (8, 0.7))),
    ReportedCandidate("lora.lr1e-5", 0.25, 8, 8, is_chosen=True),
)


def test_a_choice_has_its_recipe_its_loss_and_the_next_one():
    choices = [ReportedChoice("m", "lora", "clean", 1, CANDIDATES), ReportedChoice("m", "full", "clean", 1, ())]
    made, waiting = choice_table(choices, ORDER).rows
    assert made.labels == ("m", "clean", "lora")
    assert [cell.text for cell in made.cells] == ["lora.lr1e-5", "0.2500", "0.5000", "3"]
    assert {(cell.text, cell.state) for cell in waiting.cells} == {("–", "undefined")}


def test_candidates_stand_by_their_losses_those_without_one_last():
    rows = candidate_table([ReportedChoice("m", "lora", "clean", 1, CANDIDATES)], ORDER).rows
    assert [row.labels[2] for row in rows] == ["lora.lr1e-5", "lora.lr1e-4", "lora.lr1e-3"]
    assert [[cell.text for cell in row.cells] for row in rows] == [
        ["0.2500", "8", "8", "chosen"],
        ["0.5000", "4", "8", ""],
        ["–", "8", "8", ""],
    ]
    assert rows[1].cells[0].curve == ((4.0, 0.5), (8.0, 0.7))


OTHER = (
    replace(CANDIDATES[0], loss=0.75),
    replace(CANDIDATES[1], loss=0.25, losses=((4, 0.25), (8, 0.5)), is_chosen=True),
    replace(CANDIDATES[2], loss=0.5, is_chosen=False),
)
SEEDS = [ReportedChoice("m", "lora", "clean", seed, found) for seed, found in ((1, CANDIDATES), (2, OTHER), (3, OTHER))]


def test_several_seeds_have_one_row_that_says_with_how_many_each_recipe_was_chosen():
    (row,) = choice_table(SEEDS, ORDER, over_seeds=True).rows
    assert row.labels == ("m", "clean", "lora")
    assert [cell.text for cell in row.cells] == ["lora.lr1e-4 (2 of 3), lora.lr1e-5 (1 of 3)", "0.2500", "0.5000", "3"]
    assert (row.cells[1].spread, row.cells[1].seeds) == ("SD 0.0000", 3)
    waiting = [ReportedChoice("m", "lora", "clean", seed, ()) for seed in (1, 2)]
    assert {cell.state for cell in choice_table(waiting, ORDER, over_seeds=True).rows[0].cells} == {"undefined"}
    same = [replace(SEEDS[0], seed=seed) for seed in (1, 2)]
    assert choice_table(same, ORDER, over_seeds=True).rows[0].cells[0].text == "lora.lr1e-5"


def test_candidates_of_several_seeds_have_their_mean_losses():
    rows = candidate_table(SEEDS, ORDER, over_seeds=True).rows
    assert [(row.labels[2], row.cells[0].text, row.cells[3].text) for row in rows] == [
        ("lora.lr1e-4", "0.3333", "chosen with 2 of 3 seeds"),
        ("lora.lr1e-5", "0.4167", "chosen with 1 of 3 seeds"),
        ("lora.lr1e-3", "0.7500", ""),
    ]
    assert rows[0].cells[0].curve == ((4.0, pytest.approx(1 / 3)), (8.0, pytest.approx(17 / 30)))
    assert rows[2].cells[0].note == "seed 1: its loss is nan; mean over 2 of 3 seeds"


def test_seeds_are_named_where_there_are_several():
    choices = [ReportedChoice("m", "lora", "clean", seed, CANDIDATES) for seed in (1, 2)]
    assert [row.labels[1] for row in choice_table(choices, ORDER).rows] == ["clean, seed 1", "clean, seed 2"]
