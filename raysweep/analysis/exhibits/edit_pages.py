"""The records of the pages of edits: a pair of prompts with what each method made of it, as the report shows it.

A page is of a pair, since all methods edit a model from the same pairs: its prompts and the completions before an edit
stand there once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.analysis.exhibits.answers import ShownAnswer
from raysweep.records import BlockAccuracy


@dataclass(frozen=True)
class ShownBlocks:
    """What patching each block restored. `label`: what was patched; `chosen`: the block that was edited."""

    label: str
    rows: Sequence[BlockAccuracy]
    chosen: int | None


@dataclass(frozen=True)
class ShownEdit:
    """What one method made of a pair.

    `ended`: why it made no model; empty if it made one. `facts`: short texts, such as ``block 2 of 0 to 3``.
    """

    method: str
    ended: str
    facts: Sequence[str]
    blocks: Sequence[ShownBlocks]
    after: Sequence[ShownAnswer]


@dataclass(frozen=True)
class PairPage:
    """A pair with all edits from it. `group`: model and category in words; `before`: the base's completions."""

    group: str
    pair: str
    task_id: str
    original: str
    perturbed: str
    before: Sequence[ShownAnswer]
    edits: Sequence[ShownEdit]

    @property
    def summary(self) -> str:
        shown = [f"{edit.method} {edit.ended or ', '.join(edit.facts[:1])}".strip() for edit in self.edits]
        return " · ".join([self.task_id or self.pair, *shown])
