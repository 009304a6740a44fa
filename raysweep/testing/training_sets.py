"""The contract of sources of training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from raysweep.errors import UsageError
from raysweep.hashing import canonical_json, text_sha
from raysweep.records import SourceRow, Spec
from raysweep.testing.contract import Contract, check_arguments, check_fingerprint, elsewhere, no_global_generator
from raysweep.training_sets.base import SOURCES, TrainingSource


class TrainingSourceContract(Contract):
    """Tests of what docs/contracts.md asks of a source of training rows. They read all rows several times.

    Attributes:
        make: to be set, see `Contract`; it is called without arguments. Let it build a small source if it can.
    """

    make: Callable[..., TrainingSource]
    registry = SOURCES

    def test_it_has_rows_with_unique_ids(self) -> None:
        """Perturbed rows are found by row id."""
        rows = list(self.part().rows())
        assert rows, "there is at least one row"
        assert all(isinstance(row, SourceRow) for row in rows), "rows() yields raysweep.records.SourceRow"
        twice = [row_id for row_id, times in Counter(row.row_id for row in rows).items() if times > 1]
        assert not twice, f"row ids are unique; these come twice: {', '.join(twice[:9])}"

    def test_its_rows_have_a_fixed_order(self) -> None:
        """Sets of a given size take the same rows each time."""
        part = self.part()
        with no_global_generator():
            first = list(part.rows())
        assert first == list(part.rows()), "rows() yields the same rows in the same order each time"

    def test_its_fingerprint_is_json_without_a_path(self) -> None:
        """It is part of keys."""
        check_fingerprint(self.part(), self.spec())

    def test_its_fingerprint_has_the_arguments_that_its_rows_depend_on(self) -> None:
        """Otherwise the results of other rows would be used. Numbers and truth values are tried."""
        check_arguments(self.part(), self.spec(), _digest)

    def test_another_process_gets_the_same_rows_and_the_same_fingerprint(self) -> None:
        """Every process builds it anew, from its name and arguments."""
        part = self.part()
        rows, fingerprint = elsewhere(_content, self.spec())
        assert rows == _digest(part), "another process gets the same rows in the same order"
        assert fingerprint == canonical_json(dict(part.fingerprint())), "another process gets the same fingerprint"

    def test_an_entry_point_stands_in_the_instruction(self) -> None:
        """A row with an entry point has a prompt like a test set's."""
        for row in self.part().rows():
            assert row.entry_point in row.instruction, (
                f"row {row.row_id}: a row with an `entry_point` has an instruction that is a prompt with this function"
            )

    def test_segments_join_to_the_text(self) -> None:
        """Perturbations change the natural segments and nothing else."""
        part = self.part()
        for row in part.rows():
            for text in (row.instruction, row.input):
                assert "".join(segment.text for segment in part.segments(row, text)) == text, (
                    f"row {row.row_id}: the texts of segments(), joined, are the text"
                )

    def test_usable_data_passes_its_own_check(self) -> None:
        """`check` runs before any work."""
        try:
            self.part().check()
        except UsageError as error:
            pytest.fail(f"check() raises UsageError for unusable data only; here it said: {error}")


def _digest(part: TrainingSource) -> str:
    return text_sha(repr(list(part.rows())))


def _content(spec: Spec) -> tuple[str, str]:
    part = SOURCES.create(spec)
    return _digest(part), canonical_json(dict(part.fingerprint()))
