"""Tables of differences: the baseline, the rows, and what stands where."""

from __future__ import annotations

import math
from dataclasses import replace

from raysweep.analysis.difference_tables import BELOW_SEEDS, difference_tables
from raysweep.analysis.score_book import ScoreBook
from raysweep.records import Difference
from tests.analysis.examples import ORDER, scores

BOOK = ScoreBook.of(scores(), ORDER)


def difference(training_set: str, against: str, perturbation: str, metric: str, value: float) -> Difference:
    ends = (value - 0.05, value + 0.05)
    return Difference("llama", "full", training_set, 42, against, "minicode", perturbation, metric, value, *ends, 240)


DIFFERENCES = [
    difference("clean", "base", "clean", "pass@1_difference", 0.033),
    difference("C", "base", "clean", "pass@1_difference", 0.0),
    difference("C", "clean", "clean", "pass@1_difference", -0.033),
    difference("C", "clean", "C3", "pass@1_difference", 0.309),
    difference("C", "clean", "C3", "RD_change", -0.37),
    difference("C", "clean", "C3", "RD_change_perturbed", -0.35),
    difference("C", "clean", "C3", "RD_change_clean", math.nan),
]


def test_the_baseline_is_clean_fine_tuning_and_rd_stands_beside_pass_at_1():
    (table,) = difference_tables(DIFFERENCES, BOOK)
    assert table.title == "Against fine-tuning on clean prompts, minicode"
    assert [column.name for column in table.columns] == ["C"]
    assert [row.labels for row in table.rows] == [
        ("clean", "llama", "pass@1 (points)"),
        ("C3", "llama", "pass@1 (points)"),
        ("C3", "llama", "RD (points)"),
        ("C3", "llama", "RD, from perturbed pass@1 (points)"),
        ("C3", "llama", "RD, from clean pass@1 (points)"),
    ]
    assert [row.cells[0].text for row in table.rows] == ["−3.3", "+30.9", "−37.0", "−35.0", "–"]
    assert table.rows[0].cells[0].interval == "[−8.3, +1.7]"


def test_without_models_fine_tuned_on_clean_prompts_the_baseline_is_the_base_model():
    (table,) = difference_tables([one for one in DIFFERENCES if one.against == "base"], BOOK)
    assert table.title == "Against the base model, minicode"
    assert [column.name for column in table.columns] == ["clean", "C"]


def test_a_mean_over_seeds_below_2_sd_between_them_is_called_within_noise():
    def seeds(*values: float) -> list[Difference]:
        found = [difference("C", "clean", "C3", "pass@1_difference", value) for value in values]
        return [replace(one, seed=seed) for seed, one in enumerate(found, 42)]

    def notes(differences: list[Difference]) -> set[str]:
        (table,) = difference_tables(differences, book)
        return {cell.note for row in table.rows for cell in row.cells if cell.state == "value"}

    book = ScoreBook.of([replace(score, seed=seed) for score in scores() for seed in (42, 43, 44)], ORDER)
    assert notes(seeds(0.02, 0.03, 0.01)) == {""}
    assert notes(seeds(0.02, -0.03, 0.05)) == {BELOW_SEEDS}
    assert notes(seeds(0.02)) == {""}, "one seed tells nothing of noise"


def test_without_differences_there_is_no_table():
    assert difference_tables([], BOOK) == []
