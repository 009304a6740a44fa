"""Each test of the suite for sources of training rows fails on a source that is broken in its way."""

from __future__ import annotations

import itertools

import pytest

from raysweep.errors import UsageError
from raysweep.records import Segment, SourceRow
from raysweep.testing.training_sets import TrainingSourceContract
from raysweep.training_sets.base import TrainingSource
from tests.testing.bites import Broken, claims_of, message


class Sums(TrainingSource):
    """Rows that ask for sums."""

    name = "jsonl"  # any that is registered

    def rows(self):
        for n in range(3):
            yield SourceRow(f"{n}", f"Write `add_{n}`, which adds {n}.", f"lambda x: x + {n}", entry_point=f"add_{n}")

    def fingerprint(self):
        return {"version": 1}


class Doubled(Sums):
    def rows(self):
        return [*super().rows(), *super().rows()]


class Turning(Sums):
    turns = itertools.count()

    def rows(self):
        return list(super().rows())[:: (-1) ** next(self.turns)]


class Changing(Sums):
    versions = itertools.count()

    def fingerprint(self):
        return {"version": next(self.versions)}


class OfMiniCode(Sums):
    name = "minicode"

    def __init__(self, world: int, rows: int) -> None:
        pass


class Counted(Sums):
    def __init__(self, count: int = 2) -> None:
        self.count = count

    def rows(self):
        return [*super().rows()][: self.count]


class Nameless(Sums):
    def rows(self):
        return [SourceRow("0", "Add them.", "lambda x: x", entry_point="add")]


class Lossy(Sums):
    def segments(self, row, text):
        return [Segment(text[1:], True)]


class Unchecked(Sums):
    def check(self):
        raise UsageError("no good")


BROKEN: Broken = {
    "test_it_has_rows_with_unique_ids": (Doubled, "these come twice: 0, 1, 2"),
    "test_its_rows_have_a_fixed_order": (Turning, "in the same order each time"),
    "test_its_fingerprint_is_json_without_a_path": (Changing, "fingerprint() is the same each time"),
    "test_its_fingerprint_has_the_arguments_that_its_rows_depend_on": (
        Counted, "has all arguments that its problems or rows depend on; 'count' is missing",
    ),
    "test_another_process_gets_the_same_rows_and_the_same_fingerprint": (
        lambda: OfMiniCode(world=1, rows=3), "another process gets the same rows",
    ),
    "test_an_entry_point_stands_in_the_instruction": (Nameless, "is a prompt with this function"),
    "test_segments_join_to_the_text": (Lossy, "joined, are the text"),
    "test_usable_data_passes_its_own_check": (Unchecked, "no good"),
}  # fmt: skip


@pytest.mark.parametrize("test", sorted(BROKEN))
def test_a_broken_source_fails(test):
    make, words = BROKEN[test]
    assert words in message(TrainingSourceContract, test, make)


def test_every_test_was_seen_to_fail():
    assert claims_of(TrainingSourceContract) == set(BROKEN)


def test_a_source_that_keeps_the_contract_passes():
    passing = set(BROKEN) - {"test_another_process_gets_the_same_rows_and_the_same_fingerprint"}
    assert {test: message(TrainingSourceContract, test, Sums) for test in passing} == dict.fromkeys(passing, "")
