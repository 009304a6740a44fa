"""The share of training rows in the language of a problem set, as numbers of the frame."""

from __future__ import annotations

import math

import pytest

from raysweep.analysis.tables.order import Order
from raysweep.sweep.report.languages import language_shares
from tests.analysis.exhibits.examples import score

ORDER = Order(languages={"java": "java", "humaneval": "python", "cpp": "cpp"}, ways={"edited": "edited"})
ROWS = {"clean": {"python": 56, "Java": 14, "java": 1, "C++": 1, "": 28}, "mix_all": {"py": 4}, "C1": {"": 72}}


def shares(training_set: str) -> dict[str, tuple[float, int, str]]:
    scores = [score("one", training_set, test, "pass@1", 0.5, problem_set=p) for p in ORDER.languages for test in "ab"]
    found = language_shares(scores, ORDER, ROWS)
    assert all((one.metric, one.perturbation) == ("rows in language", "clean") for one in found)
    return {one.problem_set: (one.value, one.n, one.note) for one in found}


def test_a_share_is_of_the_rows_whose_language_is_known_as_texts_write_it():
    note = "of 28 of the 100 rows the language is not known"
    assert shares("clean") == {
        "java": (pytest.approx(15 / 72), 72, note),
        "humaneval": (pytest.approx(56 / 72), 72, note),
        "cpp": (pytest.approx(1 / 72), 72, note),
    }
    assert shares("mix_all") == {"java": (0, 4, ""), "humaneval": (1, 4, ""), "cpp": (0, 4, "")}


@pytest.mark.parametrize(
    ("training_set", "why"),
    [
        ("base", "not fine-tuned"),
        ("C1", "no row says its language (72 rows)"),
        ("W", "the store has no such training set"),
    ],
)
def test_a_share_that_is_not_known_says_why(training_set, why):
    assert all(math.isnan(value) and (n, note) == (0, why) for value, n, note in shares(training_set).values())


def test_models_that_have_no_training_set_or_no_pass_at_1_have_no_share():
    assert shares("edited") == {}
    assert language_shares([score("one", "clean", "clean", "exact match@1", 0.5)], ORDER, ROWS) == []
