"""The tables of choices: the chosen recipe beside the next one, and all candidates from the lowest loss on."""

from __future__ import annotations

import math

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


def test_seeds_are_named_where_there_are_several():
    choices = [ReportedChoice("m", "lora", "clean", seed, CANDIDATES) for seed in (1, 2)]
    assert [row.labels[1] for row in choice_table(choices, ORDER).rows] == ["clean, seed 1", "clean, seed 2"]
