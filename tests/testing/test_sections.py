"""Each test of the suite for sections fails on a section that is broken in its way."""

from __future__ import annotations

import itertools

import pytest

from raysweep.analysis.sections.base import Content, Section
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.testing.sections import SectionContract
from tests.testing.bites import Broken, claims_of, message

TURNS = itertools.count()


class Sums(Section):
    """The number of completions of each model on each test set."""

    name = "reasons"  # any that is registered
    title = "Sums"
    reads = ("outcomes",)

    def draw(self, report):
        cells = [(pair.perturbation, TableCell(str(pair.total))) for pair in report.outcomes]
        rows = tuple(Row((name,), (cell,)) for name, cell in cells)
        return Content(tables=[Table("Sums", "", ("test set",), (Column("completions"),), rows)]) if rows else None


class Asks(Sums):
    def __init__(self, k: int) -> None:
        self.k = k


class Nothing(Sums):
    def draw(self, report):
        return None


class First(Sums):
    def draw(self, report):
        return Content(str(report.outcomes[0].total))


class Secretive(Sums):
    reads = ()


class Counted(Sums):
    def draw(self, report):
        return Content(str(next(TURNS)))


class OnThePageOnly(Sums):
    in_files = False


class OtherTemplate(Sums):
    template = "lines.html"


BROKEN: Broken = {
    "test_it_is_built_without_arguments": (lambda: Asks(1), "all that it has need a default; k has none"),
    "test_it_shows_a_sweep": (Nothing, "draw() shows something of a sweep"),
    "test_a_sweep_without_results_has_a_report": (First, "draw() raises nothing: without what it needs"),
    "test_it_reads_only_the_records_that_it_names": (Secretive, "it reads others than ()"),
    "test_equal_records_give_equal_content_in_every_process": (Counted, "equal records give equal content"),
    "test_its_tables_and_figures_are_files_too": (OnThePageOnly, "has `in_files` True"),
    "test_the_page_shows_it": (OtherTemplate, "its template lines.html shows what draw() returns, and not Undefined"),
}


@pytest.mark.parametrize("test", sorted(BROKEN))
def test_a_broken_section_fails(test):
    make, words = BROKEN[test]
    assert words in message(SectionContract, test, make)


def test_every_test_was_seen_to_fail():
    assert claims_of(SectionContract) == set(BROKEN)


def test_a_section_that_keeps_the_contract_passes():
    passing = sorted(set(BROKEN) - {"test_equal_records_give_equal_content_in_every_process"})  # of another class there
    assert {test: message(SectionContract, test, Sums) for test in passing} == dict.fromkeys(passing, "")
