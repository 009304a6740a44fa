"""The contract of a training-set source: yields clean rows of instruction and output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from raysweep.errors import UsageError, did_you_mean
from raysweep.prompts.regions import protected_words, split_instruction, split_prompt
from raysweep.records import Problem, Segment, SourceRow
from raysweep.registry import Registry
from raysweep.units import count


class TrainingSource(ABC):
    """A source of clean training rows; each process creates it from its spec.

    The constructor is cheap. `check` runs before any work starts; it raises UsageError with the file, the line and
    the mistake. `fingerprint` is cheap compared to training and changes whenever `rows` would.

    A row with an `entry_point` has an instruction that is a prompt like a test set's; without one the instruction is
    prose, and code in it is left alone.
    """

    name: ClassVar[str]
    apart_from: ClassVar[frozenset[str]] = frozenset()  # problem sets that its rows can't leak, by construction
    repair: ClassVar[bool] = False
    """Whether its rows are faults and fixes, as templates for repair need them."""
    words: ClassVar[int] = 1
    """Raise it when other words of equal rows may be perturbed: then perturbed rows are made again."""
    licence: ClassVar[str] = ""
    """Under which the data is published, as SPDX has it, with the data that it derives from; empty: not known."""
    origin: ClassVar[str] = ""
    """The address at which the data is published; empty: not known, as of a user's file."""

    @abstractmethod
    def rows(self) -> Iterable[SourceRow]:
        """Yield the rows in a fixed order; row ids are unique, and the same each time."""

    @abstractmethod
    def fingerprint(self) -> Mapping[str, Any]:
        """Return what the rows depend on, as JSON: a file's hash, or a generator's version; never a path."""

    def check(self) -> None:
        """Raise UsageError if the rows can't be read. Sources that read files override this."""

    def problem(self, row: SourceRow) -> Problem | None:
        """Return the problem that a row solves, with tests; None if it has none. Rejected responses must fail them."""
        return None

    @classmethod
    def may_have_tests(cls) -> bool:
        """Return whether `problem` may give one, so that programs run where rejected responses are made."""
        return cls.problem is not TrainingSource.problem

    def segments(self, row: SourceRow, text: str) -> list[Segment]:
        """Split the instruction or input of a row into natural language and verbatim text, losslessly."""
        return split_prompt(text, row.entry_point) if row.entry_point else split_instruction(text)

    def protected(self, row: SourceRow) -> frozenset[str]:
        """Return the words of a row's instruction and input that no perturbation may change."""
        return protected_words(row.instruction if row.entry_point else row.input)


def checked_size(
    rows: Iterable[tuple[str, str, SourceRow]],
    rejected: str | None = None,
    columns: Iterable[str] = (),
) -> int:
    """Read all rows, each with its place and the field of its response, and return how many there are.

    Args:
        rows: the place of each row, as ``file:line``, the field that holds its response, and the row; reading them may
            raise UsageError.
        rejected: the field that rows should have a rejected response in, if any.
        columns: the fields that rows have, some several times; read for the message alone.

    Raises:
        UsageError: some rows have no output, which teaches a model to answer nothing; the message counts them. Or no
            row at all has a rejected response, where a field is named.
    """
    size, empty, paired, first = 0, 0, 0, ""
    for place, field, row in rows:
        size += 1
        paired += row.rejected is not None
        if not row.output.strip():
            empty, first = empty + 1, first or f"{place}: the response in `{field}`"
    if empty:
        raise UsageError(
            f"{first} is empty, the first of {empty:,} such among {count(size, 'row')}; a row without it "
            "teaches a model to answer nothing: remove them, or leave them out with the source's `drop_empty: true`"
        )
    if rejected is not None and size and not paired:
        known = list(dict.fromkeys(columns))
        raise UsageError(
            f"no row has a rejected response in `{rejected}`{did_you_mean(rejected, known)}, which `rejected.field` "
            f"names; rows have {', '.join(known) or 'nothing'}"
        )
    return size


SOURCES: Registry[TrainingSource] = Registry("training-set source", "raysweep.training_sets", TrainingSource)
