"""The contract of sources of training rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raysweep.errors import UsageError
from raysweep.records import SourceRow, Spec
from raysweep.testing.contract import DataContract, content
from raysweep.training_sets.base import SOURCES, TrainingSource


def _content_of(spec: Spec) -> tuple[str, str]:
    return content(SOURCES.create(spec), "rows")


class TrainingSourceContract(DataContract):
    """Tests of what docs/contracts.md asks of a source of training rows. They read all rows several times.

    Attributes:
        make: to be set, see `Contract`; it is called without arguments. Let it build a small source if it can.
    """

    make: Callable[..., TrainingSource]
    registry = SOURCES
    records, record, id = "rows", SourceRow, "row_id"
    content_of = staticmethod(_content_of)

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
