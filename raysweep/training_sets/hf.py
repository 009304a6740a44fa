"""Training-set source `hf`: rows of a data set that Hugging Face's `datasets` reads, by hub id or local path.

The set is read once and kept as Parquet, with the commit it is from (`raysweep.hub_rows`); its rows are streamed from
there. Columns `language` and `task_id` are taken where there are any; a language that is not told is the tag of the
first code fence in the output, in lower case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError, did_you_mean
from raysweep.hub_rows import KeptRows, Wanted, keep
from raysweep.jsonrows import JsonRow
from raysweep.records import SourceRow
from raysweep.training_sets.base import SOURCES, TrainingSource
from raysweep.training_sets.jsonl import fence_tag

INPUT = "input"


@SOURCES.register("hf")
class HubRows(TrainingSource):
    """The rows of a split; a row's id is its number in it, from 0, in seven digits.

    Args:
        path: a hub id, or a folder or file that `datasets.load_dataset` takes.
        split: which rows, as `datasets` writes it.
        config: which of the set's, where it has several.
        revision: a branch, tag or commit of the hub's; a commit is the only one that never moves.
        instruction_column: what holds the instruction.
        output_column: what holds the response.
        input_column: what holds further context, where the set has it.
    """

    def __init__(
        self,
        path: str,
        split: str = "train",
        config: str | None = None,
        revision: str | None = None,
        instruction_column: str = "instruction",
        output_column: str = "output",
        input_column: str = INPUT,
    ) -> None:
        self._wanted = Wanted(path, split, config, revision)
        self._columns = {"instruction": instruction_column, "output": output_column, INPUT: input_column}
        self.size: int | None = None  # rows, once `check` has counted them

    def rows(self) -> Iterator[SourceRow]:
        """Yield the rows in order; raise UsageError (set, row) for one that can't be used."""
        names = self._columns
        for number, row in enumerate(self._kept.stream()):
            instruction, output = row.text(names["instruction"]), row.text(names["output"])
            if not instruction.strip():
                raise UsageError(f"{row.place}: `{names['instruction']}` is empty; remove the row")
            further = row.text(names[INPUT], "")
            language = row.text("language", "") or fence_tag(output)
            yield SourceRow(f"{number:07d}", instruction, output, further, language, task_id=self._task_id(row))

    def _task_id(self, row: JsonRow) -> str:
        """Return the published problem that a row says it is; a bare number is one of the set's."""
        task = str(row.fields.get("task_id") or "")
        return f"{Path(self._wanted.path).name}/{task}" if task.isdigit() else task

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the sha256 of the rows, the hub's commit, and which columns count."""
        return {**self._kept.fingerprint(), "columns": self._columns}

    def check(self) -> None:
        """Fetch the set where it isn't kept yet, and read it; raise UsageError for the first thing that is wrong."""
        self.size = sum(1 for _ in self.rows())

    @cached_property
    def _kept(self) -> KeptRows:
        kept = keep(self._wanted)
        for what, column in self._columns.items():
            if column not in kept.columns and (what, column) != (INPUT, INPUT):
                near = did_you_mean(column, kept.columns)
                raise UsageError(
                    f"data set {kept.path} has no column {column!r}{near}; it has {', '.join(kept.columns)}: name the "
                    f"one with the {what} as `{what}_column`"
                )
        return kept
