"""Relative degradation: its value, where it is undefined, and what its pairing does."""

from __future__ import annotations

import csv
import math

import pytest

from raysweep.metrics.base import CellLabels, Evaluation
from raysweep.metrics.degradation import NO_PAIR, RelativeDegradation, pair, relative_degradation
from raysweep.programs import Outcome
from raysweep.records import PromptRow, Result
from tests.conftest import shared_data

TABLES = {2: "02_pass1_clean", 3: "03_pass1_perturbed", 4: "04_rd"}
ROUGH = "rough interval: fewer than 10 clean passes"
CELL = CellLabels("m", "none", "base", 42)


def results(**passed: bool | None) -> tuple[Result, ...]:
    outcome = {True: Outcome.PASSED, False: Outcome.FAILED, None: Outcome.HARNESS_ERROR}
    return tuple(Result(task, 0, outcome[value], "", "", 0.0, "") for task, value in passed.items())


def measure(clean, perturbed, prompts=()):
    measured = RelativeDegradation().measure(Evaluation("p", "C1", perturbed, tuple(prompts), clean), CELL)
    return {measurement.metric: measurement for measurement in measured}


def test_it_reproduces_the_studys_printed_table():
    tables = {number: shared_data("paper", f"table{name}.csv") for number, name in TABLES.items()}
    rows = {number: list(csv.DictReader(path.open())) for number, path in tables.items()}
    compared = 0
    for clean, perturbed, printed in zip(rows[2], rows[3], rows[4], strict=True):
        for column in ("base", "clean_ft", "perturbed_ft"):
            ours = relative_degradation(float(clean[column]), float(perturbed[column])).value
            assert 100 * ours == pytest.approx(float(printed[column]), abs=0.006), (printed["model"], column)
            compared += 1
    assert compared >= 18
    assert relative_degradation(0.5, 0.6).value == pytest.approx(-0.2), "a gain is negative"
    assert relative_degradation(0.5, 0.0).value == 1.0


def test_it_is_nan_with_its_reason_and_without_an_interval_where_undefined():
    for clean, note in ((0.0, "the clean score is 0"), (math.nan, "a score it rests on is undefined")):
        value, reason = relative_degradation(clean, 0.5)
        assert math.isnan(value) and reason == note
    measured = measure(results(a=False, b=False), results(a=True, b=False))
    assert all(math.isnan(number) for number in (measured["RD"].value, measured["RD"].low, measured["RD"].high))
    assert measured["RD"].note == "the clean score is 0"
    assert measured["drop"].value == 0.5
    assert RelativeDegradation().measure(Evaluation("p", "clean", results(a=True)), CELL) == [], "of the clean set none"


def test_prompts_with_equal_verdicts_have_a_drop_with_a_symmetric_interval():
    verdicts = results(a=True, b=False, c=True)
    drop = measure(verdicts, verdicts)["drop"]
    assert drop.value == 0 and drop.high == -drop.low == pytest.approx(1 - 0.05 ** (1 / 4))
    assert measure(verdicts, results(a=True, b=True, c=False))["drop"].high != drop.high


def test_a_problem_without_a_verdict_on_either_side_leaves_both():
    scores = pair(results(a=True, b=True, c=None), [results(a=False, b=None, c=True)])
    assert scores == ([1.0], [[0.0]])


def test_rd_and_drop_come_with_intervals_that_hold_them():
    clean = results(**{f"t{n}": n % 10 < 8 for n in range(100)})
    perturbed = results(**{f"t{n}": n % 10 < 4 for n in range(100)})
    measured = measure(clean, perturbed)
    assert measured["RD"].value == pytest.approx(0.5)
    assert measured["drop"].value == pytest.approx(-0.4)
    assert 0.35 < measured["RD"].low < 0.5 < measured["RD"].high < 0.65
    assert -0.51 < measured["drop"].low < -0.4 < measured["drop"].high < -0.29
    assert measured["RD"].n == 100
    assert "RD_changed" not in measured  # no prompts given


def test_rd_over_the_changed_rows_leaves_out_unchanged_and_broken_ones():
    def row(task: str, changed: bool, compiles: bool) -> PromptRow:
        return PromptRow(task, "", "", "C1", changed, compiles)

    prompts = [row("a", True, True), row("b", True, True), row("c", False, True), row("d", True, False)]
    measured = measure(results(a=True, b=True, c=True, d=True), results(a=True, b=False, c=True, d=False), prompts)
    assert (measured["RD"].value, measured["RD"].n) == (0.5, 4)
    assert (measured["RD_changed"].value, measured["RD_changed"].n) == (0.5, 2)
    assert (measured["pass@1_changed"].value, measured["drop_changed"].value) == (0.5, -0.5)
    unchanged = measure(results(a=True), results(a=True), [row("a", False, True)])
    assert unchanged["RD_changed"].n == 0
    assert {unchanged[name].note for name in ("pass@1_changed", "drop_changed")} == {NO_PAIR}


def test_rd_over_valid_prompts_takes_rated_and_unchanged_ones():
    clean, perturbed = results(**dict.fromkeys("abcde", True)), results(a=True, b=False, c=False, d=True, e=False)
    rows = [PromptRow(task, f"{task}!", task, "C1", task != "d", True) for task in "abcde"]
    rated = {("a", "a!"): True, ("b", "b!"): True, ("c", "c!"): False, ("e", "another text"): True}
    evaluation = Evaluation("p", "C1", perturbed, tuple(rows), clean, rated=rated)
    measured = {one.metric: one for one in RelativeDegradation().measure(evaluation, CELL)}
    assert (measured["RD"].value, measured["RD"].n) == (pytest.approx(0.6), 5)
    assert (measured["RD_valid"].value, measured["RD_valid"].n) == (pytest.approx(1 / 3), 3)
    assert measured["RD_valid"].note == f"{ROUGH}; 2 of 3 rated prompts are valid, 1 not rated"
    of_three = measured["pass@1_valid"], measured["drop_valid"]
    assert [one.value for one in of_three] == [pytest.approx(2 / 3), pytest.approx(-1 / 3)]
    assert all(one.n == 3 and "2 of 3 rated prompts" in one.note and one.low < one.value < one.high for one in of_three)
    unrated = Evaluation("p", "C1", perturbed, tuple(rows), clean, rated={("x", "x"): True})
    assert "RD_valid" not in {one.metric for one in RelativeDegradation().measure(unrated, CELL)}


def test_rd_and_drop_are_means_over_all_draws_of_the_noise():
    clean = results(a=True, b=True)
    draws = [results(a=True, b=False), results(a=False, b=False), results(a=True, b=None)]
    evaluation = Evaluation("p", "C1", draws[0], (), clean, tuple(draws[1:]))
    measured = {m.metric: m for m in RelativeDegradation().measure(evaluation, CELL)}
    assert measured["RD"].value == pytest.approx(2 / 3)  # a passes on two of three draws, b on none of two
    assert measured["drop"].value == pytest.approx(-2 / 3)
    assert (measured["RD"].n, measured["RD"].note) == (2, f"{ROUGH}; 1 harness errors left out")
    assert measured["RD"].low < 2 / 3 < measured["RD"].high


def test_rd_over_the_changed_rows_looks_at_the_prompts_of_each_draw():
    def prompts(*changed: str) -> tuple[PromptRow, ...]:
        return tuple(PromptRow(task, "", "", "C1", task in changed, True) for task in "ab")

    clean = results(a=True, b=True)
    draws = [results(a=False, b=True), results(a=True, b=False)]
    evaluation = Evaluation("p", "C1", draws[0], prompts("a"), clean, (draws[1],), (prompts("a", "b"),))
    measured = {m.metric: m for m in RelativeDegradation().measure(evaluation, CELL)}
    assert measured["RD_changed"].value == pytest.approx(0.75)  # a: half of two draws, b: none of the second draw
    assert measured["pass@1_changed"].value == pytest.approx(0.25)
    assert measured["RD_changed"].n == 2
