"""The tables of choices: the chosen recipe beside the next one, and all candidates from the lowest loss on."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from raysweep.analysis.tables.choices import ReportedCandidate, ReportedChoice, candidate_table, choice_table
from raysweep.analysis.tables.order import Order
from tests.analysis.examples import shown

ORDER = Order(models=("m",), training_sets=("base", "clean"), problem_sets=("p",), perturbations=("clean",))
CANDIDATES = (
    ReportedCandidate("lora.lr1e-3", math.nan, 8, 8, is_chosen=False),
    ReportedCandidate("lora.lr1e-4", 0.5, 8, 4, is_chosen=False, losses=((4, 0.5), (8, 0.7))),
    ReportedCandidate("lora.lr1e-5", 0.25, 8, 8, is_chosen=True),
)
OTHER = (
    replace(CANDIDATES[0], loss=0.75),
    replace(CANDIDATES[1], loss=0.25, losses=((4, 0.25), (8, 0.5)), is_chosen=True),
    replace(CANDIDATES[2], loss=0.5, is_chosen=False),
)


def chosen(*by_seed, recipe="lora"):
    return [ReportedChoice("m", recipe, "clean", seed, found) for seed, found in enumerate(by_seed, 1)]


CHOICES = {
    "a choice, and one that waits": [*chosen(CANDIDATES), *chosen((), recipe="full")],
    "three seeds": chosen(CANDIDATES, OTHER, OTHER),
    "seeds that wait": chosen((), ()),
    "seeds that agree": chosen(CANDIDATES, CANDIDATES),
}


@pytest.mark.parametrize("case", CHOICES)
def test_choices_and_candidates_have_a_row_for_all_seeds_or_for_each(case, snapshot):
    tables = (choice_table, candidate_table)
    over, each = ([table(CHOICES[case], ORDER, over_seeds=over) for table in tables] for over in (True, False))
    assert shown(*over, *each) == snapshot
