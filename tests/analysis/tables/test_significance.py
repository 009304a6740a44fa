"""Tables of signed-rank tests: the study's own, which pairs are taken, and what can't be tested."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from itertools import product
from operator import mul

import pytest
from scipy.stats import wilcoxon

from raysweep.analysis.exhibits.base import TESTS, Evidence
from raysweep.analysis.exhibits.catalogue import draw
from raysweep.analysis.tables.frame import Failure, ScoreFrame
from raysweep.analysis.tables.order import Order, RowChoice
from raysweep.analysis.tables.quantities import p_text
from raysweep.analysis.tables.table import Table, to_csv
from raysweep.records import Score
from tests.analysis.exhibits.examples import in_group
from tests.conftest import shared_data

ORDER = Order(
    models=("a", "b", "c"),
    training_sets=("base", "clean", "C", "half"),
    problem_sets=("humaneval",),
    perturbations=("clean", "C1", "C"),
    headline="C",
    mixes=("C",),
    trained_with={"clean": "clean", "C": "C", "half": "C"},
    rows={"half": RowChoice(ratio=0.5)},
)


def score(model: str, training_set: str, perturbation: str, metric: str, value: float) -> Score:
    recipe = "none" if training_set == "base" else "full"
    return Score(model, recipe, training_set, 42, "humaneval", perturbation, metric, value, math.nan, math.nan, 161)


def significance_tables(frame: ScoreFrame) -> list[Table]:
    return list(draw(in_group(TESTS), Evidence(frame)).tables)


def grid(rd: dict[tuple[str, str], float], order: Order = ORDER) -> ScoreFrame:
    """A sweep with these RDs on C by model and training set, and pass@1 clean of a third of it."""
    scores = [score(model, name, "C", "RD", value) for (model, name), value in rd.items()]
    scores += [score(model, name, "clean", "pass@1", abs(value) / 3) for (model, name), value in rd.items()]
    scores += [replace(one, perturbation="C1") for one in scores if one.metric == "RD"]
    return ScoreFrame.of(scores, order)


RD = {
    ("a", "base"): 0.8, ("a", "clean"): 0.2, ("a", "C"): 0.1, ("a", "half"): 0.9,
    ("b", "base"): 0.7, ("b", "clean"): 0.1, ("b", "C"): -0.05, ("b", "half"): 0.9,
    ("c", "base"): 0.9, ("c", "clean"): 0.3, ("c", "C"): 0.35, ("c", "half"): 0.9,
}  # fmt: skip


def named(frame: ScoreFrame) -> dict[str, dict[str, dict[str, object]]]:
    """The cells by table, row and column."""
    return {
        table.title: {
            row.labels[0]: {column.name: cell for column, cell in zip(table.columns, row.cells, strict=True)}
            for row in table.rows
        }
        for table in significance_tables(frame)
    }


def test_the_studys_test_on_mix_all_comes_out_of_its_printed_rds():
    rows = list(csv.DictReader(shared_data("paper", "table04_rd.csv").open()))
    columns = {"base": "base", "clean": "clean_ft", "mix_all": "perturbed_ft"}
    scores = [
        score(row["model"], name, "mix_all", "RD", float(row[column]) / 100)
        for row in rows
        for name, column in columns.items()
    ]
    order = Order(
        models=tuple(row["model"] for row in rows),
        training_sets=tuple(columns),
        problem_sets=("humaneval",),
        perturbations=("mix_all",),
        mixes=("mix_all",),
        trained_with={"mix_all": "mix_all"},
        weights={row["model"]: row["model"].removesuffix("-float16") for row in rows},
    )
    tables = named(ScoreFrame.of(scores, order))
    found = tables["RD after perturbed against clean fine-tuning, on mix_all by training set, humaneval"]["mix_all"]
    assert (found["n"].text, found["W"].text, found["p"].text, found["method"].text) == ("6", "3", "0.156", "exact")
    assert found["r_z"].value == pytest.approx(0.64, abs=0.006)
    assert (found["units"].text, found["p (sign flips)"].note) == ("5", "the smallest p of 5 units is 0.0625")
    units: dict[str, list[float]] = {}
    for row in rows:
        gain = float(row["perturbed_ft"]) - float(row["clean_ft"])
        units.setdefault(row["model"].removesuffix("-float16"), []).append(gain)
    without = [[gain for name, gains in units.items() if name != one for gain in gains] for one in units]
    lowest, *_, highest = sorted(wilcoxon(gains, method="exact").pvalue for gains in without)
    left_out = found["p (one unit left out)"]
    assert (left_out.value, left_out.low, left_out.high) == pytest.approx((highest, lowest, highest))
    sums = [sum(gains) for gains in units.values()]
    flipped = [abs(sum(map(mul, signs, sums))) for signs in product((1, -1), repeat=len(sums))]
    as_far = sum(value >= abs(sum(sums)) - 1e-9 for value in flipped)
    assert found["p (sign flips)"].value == as_far / len(flipped)
    robust = tables["Fine-tuned models against base models, humaneval"]["RD"]
    assert (robust["n"].text, robust["W"].text) == ("12", "0")


def test_models_are_paired_on_the_aggregates_without_partly_perturbed_sets():
    tables = named(grid(RD))
    by_set = tables["RD after perturbed against clean fine-tuning, by training set, humaneval"]
    assert list(by_set) == ["C"]
    found = by_set["C"]
    assert (found["n"].text, found["W"].text) == ("3", "1")
    assert found["estimate"].value == pytest.approx(-7.5)  # of -10, -15 and +5
    sizes = tables["Size of RD after perturbed against clean fine-tuning, by training set, humaneval"]["C"]
    assert sizes["estimate"].value == pytest.approx(-3.75)  # of -10, -5 and +5


def test_without_aggregates_all_training_sets_and_test_sets_are_paired():
    order = replace(ORDER, mixes=(), headline="C1", rows={})
    found = named(grid(RD, order))["RD after perturbed against clean fine-tuning, by training set, humaneval"]
    assert list(found) == ["C", "half"]
    assert found["C"]["n"].text == "6"


def test_holms_p_is_over_the_rows_of_the_table():
    found = named(grid(RD, replace(ORDER, mixes=(), rows={})))
    rows = found["RD after perturbed against clean fine-tuning, by training set, humaneval"]
    smallest = min(rows.values(), key=lambda row: row["p"].value)
    assert smallest["p (Holm)"].value == pytest.approx(min(1.0, 2 * smallest["p"].value))


def test_undefined_numbers_are_left_out_and_counted():
    found = named(grid({**RD, ("c", "clean"): math.nan}))
    row = found["RD after perturbed against clean fine-tuning, by training set, humaneval"]["C"]
    assert row["n"].text == "2"
    assert row["n"].note == ("1 pair with an undefined number left out; too few pairs for an interval of this coverage")
    alone = named(grid({**RD, ("c", "clean"): math.nan, ("b", "clean"): math.nan}))
    row = alone["RD after perturbed against clean fine-tuning, by training set, humaneval"]["C"]
    assert (row["n"].text, row["p"].text) == ("1", "–")
    assert row["p"].note == "2 pairs with an undefined number left out; 1 pair; a test needs 2"


def test_equal_numbers_have_p_1_and_say_so():
    found = named(grid({**RD, **{(model, "C"): RD[model, "clean"] for model in "abc"}}))
    row = found["RD after perturbed against clean fine-tuning, by training set, humaneval"]["C"]
    assert row["p"].text == "1"
    assert "all differences are 0" in row["n"].note and "3 pairs without a difference" in row["n"].note


def test_models_with_shared_weights_are_one_unit():
    shared = named(grid(RD, replace(ORDER, weights={"a": "w", "b": "w", "c": "c"})))
    row = shared["RD after perturbed against clean fine-tuning, by training set, humaneval"]["C"]
    assert (row["units"].text, row["p (sign flips)"].note) == ("2", "the smallest p of 2 units is 0.5")


def test_one_model_or_no_fine_tuning_has_no_table():
    assert significance_tables(grid({key: value for key, value in RD.items() if key[0] == "a"})) == []
    bases = {key: value for key, value in RD.items() if key[1] == "base"}
    assert significance_tables(grid(bases, replace(ORDER, training_sets=("base",)))) == []


def test_the_csv_has_the_method_in_words():
    table = significance_tables(grid(RD))[-2]
    assert table.name == "tests-in-text-humaneval"
    assert next(csv.DictReader(to_csv(table).splitlines()))["method"] == "normal"


def test_p_values_keep_three_digits():
    assert [p_text(p) for p in (1.0, 0.0390625, 0.000123, 1.97e-21, 0.0)] == [
        "1", "0.0391", "0.000123", "1.97e-21", "0",
    ]  # fmt: skip


def test_seeds_are_averaged_and_one_model_is_no_family():
    one = [
        score
        for name in ("base", "clean", "C")
        for score in grid(RD).all_scores("humaneval", "C", "RD")
        if (score.model, score.training_set) == ("a", name)
    ]
    seeds = [
        replace(score, seed=seed, value=score.value + seed / 1000)
        for score in one
        for seed in ((42,) if score.training_set == "base" else (1, 2, 3))
    ]
    assert significance_tables(ScoreFrame.of(seeds, ORDER)) == []
    both = [*seeds, *(replace(score, model="b") for score in seeds)]
    row = named(ScoreFrame.of(both, ORDER))["RD after perturbed against clean fine-tuning, by training set, humaneval"][
        "C"
    ]
    assert row["n"].text == "2"


def test_models_that_failed_are_counted_as_left_out():
    failures = [Failure("c", "full", "clean", 42, "out of memory")]
    scores = [
        score
        for metric in ("RD", "pass@1")
        for name in ("clean", "C1", "C")
        for score in grid(RD).all_scores("humaneval", name, metric)
        if (score.model, score.training_set) != ("c", "clean")
    ]
    tables = named(ScoreFrame.of(scores, ORDER, failures))
    row = tables["RD after perturbed against clean fine-tuning, by training set, humaneval"]["C"]
    assert row["n"].note.startswith("1 pair without a model that failed or is missing")
