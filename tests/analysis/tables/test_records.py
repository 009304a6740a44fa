"""Cells of means over seeds: the SD between these, and a note where some have no number."""

from __future__ import annotations

import math

import pytest

from raysweep.analysis.tables.quantities import PASS
from raysweep.analysis.tables.records import COUNT, PERCENT, cells_over_seeds, seeds_cell
from raysweep.analysis.tables.table import TableCell


def value(number: float) -> TableCell:
    return TableCell(f"{number}", value=number, state="value")


def test_a_mean_over_seeds_has_the_sd_between_them_in_the_unit_of_its_table():
    cell = seeds_cell([0.2, 0.4], PASS.format, 2, factor=100)
    assert (cell.text, cell.spread, cell.seeds, cell.note) == ("30.0", "SD 14.1", 2, "")
    assert (cell.value, cell.sd) == pytest.approx((30, 20 / math.sqrt(2))) and math.isnan(cell.low)


def test_a_number_of_one_seed_has_no_sd_and_says_of_how_many_it_is_one():
    cell = seeds_cell([0.2], PASS.format, 2, note="over 5 problems", factor=100)
    assert (cell.text, cell.spread, cell.seeds) == ("20.0", "", 1) and math.isnan(cell.sd)
    assert cell.note == "over 5 problems; 1 of 2 seeds"


def test_the_unit_of_a_percentage_stands_once_and_its_minus_is_that_of_other_numbers():
    (cell,) = cells_over_seeds({1: (value(-0.5),), 2: (value(-0.25),)}, [PERCENT], 2)
    assert (cell.text, cell.spread) == ("−0.375 %", "SD 0.177")


def test_a_count_that_some_seeds_lack_names_each_seeds_own():
    (cell,) = cells_over_seeds({1: (value(3),), 2: (TableCell("–", state="undefined"),)}, [COUNT], 2)
    assert (cell.text, cell.note, cell.seeds) == ("3.0", "of the seeds: 3, –", 1)
