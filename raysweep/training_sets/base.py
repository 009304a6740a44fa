"""The contract of a training-set source: clean rows of instruction and output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from raysweep.perturbations.regions import split_instruction, split_prompt
from raysweep.records import Segment, SourceRow
from raysweep.registry import Registry


class TrainingSource(ABC):
    """Where clean training rows come from, made again from its spec wherever it is needed.

    The constructor is cheap. `check` reads what it must and raises UsageError (file, line, what is wrong), before any
    work starts. `fingerprint` is cheap next to training and changes whenever `rows` would.
    """

    name: ClassVar[str]
    apart_from: ClassVar[frozenset[str]] = frozenset()  # problem sets that its rows can't give away, by construction

    @abstractmethod
    def rows(self) -> Iterable[SourceRow]:
        """Yield the rows in a fixed order; row ids are unique."""

    @abstractmethod
    def fingerprint(self) -> Mapping[str, Any]:
        """Return what the rows depend on, as JSON (file hash or generator version; never a path)."""

    def check(self) -> None:
        """Raise UsageError when the rows can't be had. Sources that read files override this."""

    def segments(self, row: SourceRow, text: str) -> list[Segment]:
        """Split the instruction or input of a row into natural language and verbatim text, losslessly."""
        return split_prompt(text, row.entry_point) if row.entry_point else split_instruction(text)


SOURCES: Registry[TrainingSource] = Registry("training-set source", "raysweep.training_sets")
