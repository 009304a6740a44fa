"""The table of printed averages: recomputed from printed scores, and a sweep's own beside them."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from raysweep.analysis.published.reference import published_averages, published_scores
from raysweep.analysis.published.sums import without_doubles
from raysweep.analysis.tables.printed_averages import SweptSums, averages_table
from raysweep.analysis.tables.table import to_csv
from raysweep.metrics.base import CellLabels

AVERAGES, SCORES = published_averages("fait"), without_doubles(published_scores("fait"))


def rates(passing: int, of: int = 40) -> dict[str, float]:
    return {f"t{number}": float(number < passing) for number in range(of)}


def swept(model: str, problem_set: str, passing: dict[str, int]) -> SweptSums:
    """A sweep of one model; `passing`: how many of 40 problems pass, by recipe."""
    cells = {
        CellLabels(model, recipe, "base" if recipe == "none" else "evol", 1): {
            problem_set: {"base": rates(number + 4), "": rates(number)}
        }
        for recipe, number in passing.items()
    }
    return SweptSums(cells, ["evol"])


def rows(sweep: SweptSums, **more: str) -> list[dict[str, str]]:
    return list(csv.DictReader(to_csv(averages_table(AVERAGES, SCORES, sweep, "there", **more)).splitlines()))


def test_a_sweep_of_the_studys_model_stands_beside_its_numbers_over_the_columns_that_it_has():
    found = rows(swept("semcoder-s", "humaneval-plus", {"none": 20, "fait": 24}))
    (row,) = [
        row
        for row in found
        if row["models"] == "semcoder-s" and row["compared with"] == "base" and row["recipe"] == "fait"
    ]
    assert float(row["printed (%)"]) == 4.9 and float(row["recomputed (%)"]) == pytest.approx(4.875, abs=0.001)
    part = "recomputed from 2 of the study's 6 columns (%)"
    assert float(row[part]) == pytest.approx(100 * ((83.5 + 78.7) / (79.3 + 74.4) - 1))
    assert float(row["sweep (%)"]) == pytest.approx(100 * (52 / 44 - 1))
    assert float(row["sweep (%) low"]) < float(row["sweep (%)"]) < float(row["sweep (%) high"])
    assert row["inside the interval"] == "yes" and row["tables"] == "1"
    (seven,) = [row for row in found if row["models"] == "mean of 7 models"]
    assert (float(seven["printed (%)"]), seven["sweep (%)"]) == (6.9, "")  # the sweep has one of them
    assert len(found) == len(AVERAGES)


def test_a_misprint_is_said_beside_the_number():
    table = averages_table(AVERAGES, SCORES, swept("m", "minicode", {"none": 20}), "there")
    assert "misprint: the tables give 4.27" in table.footnotes
    assert "The sweep has none of its columns." in table.caption and "recomputed from" not in table.columns[2].name


def test_a_model_that_the_study_lacks_has_rows_of_its_own_over_all_of_its_columns():
    found = rows(swept("llama", "minicode", {"none": 20, "sft": 20, "fait": 24}), limit="5 problems")
    own = {(row["recipe"], row["compared with"]): row for row in found if row["models"] == "llama"}
    assert set(own) == {("fait", "base"), ("fait", "sft"), ("sft", "base")}
    assert float(own["fait", "base"]["sweep (%)"]) == pytest.approx(100 * (52 / 44 - 1))
    assert not own["fait", "base"]["printed (%)"] and own["sft", "base"]["sweep (%)"] == "0.0"


def test_the_caption_says_over_which_columns_the_sums_of_other_models_are():
    own, none = (
        averages_table(AVERAGES, SCORES, swept(model, "humaneval-plus", {"none": 20, "fait": 24}), "there")
        for model in ("llama", "semcoder-s")
    )
    says = "Rows of models that the study lacks are over all of the sweep's columns."
    assert says in own.caption and says not in none.caption


def test_several_seeds_of_a_sweep_are_one_number_with_the_spread_between_them():
    one = swept("semcoder-s", "humaneval-plus", {"none": 20, "fait": 24})
    (fait,) = (cell for cell in one.cells if cell.recipe == "fait")
    other = {"humaneval-plus": {"base": rates(32), "": rates(28)}}
    both = SweptSums({**one.cells, replace(fait, seed=2): other}, ["evol"])
    row = next(
        r for r in rows(both) if (r["models"], r["recipe"], r["compared with"]) == ("semcoder-s", "fait", "base")
    )
    assert float(row["sweep (%)"]) == pytest.approx(100 * (56 / 44 - 1)) and row["sweep (%) seeds"] == "2"
    assert float(row["sweep (%) SD"]) == pytest.approx(100 * 8 / 44 / 2**0.5)
    assert "sweep (%) seeds" not in rows(one)[0]
