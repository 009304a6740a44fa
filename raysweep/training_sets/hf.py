"""Training-set source `hf`: rows of a data set that Hugging Face's `datasets` reads, by hub id or local path.

The data set is read once and kept as Parquet with its commit (`raysweep.rows.hub`); rows are streamed from that copy.
The columns `language` and `task_id` are used if they exist. The language of a row without one is the tag of the first
code fence in its output, in lower case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError, did_you_mean
from raysweep.records import SourceRow
from raysweep.rows.hub import CachedRows, DataSetRef, fetch
from raysweep.rows.json_files import JsonRow
from raysweep.training_sets.base import SOURCES, TrainingSource, checked_size
from raysweep.training_sets.jsonl import fence_tag

INPUT = "input"


@SOURCES.register("hf")
class HubRows(TrainingSource):
    """The rows of a split; a row's id is its number in it, from 0, in seven digits.

    Args:
        path: a hub id, or a folder or file that `datasets.load_dataset` takes.
        split: the rows to read, in the notation of `datasets`.
        config: a configuration of the data set, if it has several.
        revision: a branch, tag or commit on the hub; only a commit never changes.
        instruction_column: the column with the instruction.
        output_column: the column with the response.
        input_column: the column with further context, if the data set has one.
        drop_empty: leave out rows whose output is empty.
    """

    origin = "https://huggingface.co/datasets"

    def __init__(
        self,
        path: str,
        split: str = "train",
        config: str | None = None,
        revision: str | None = None,
        instruction_column: str = "instruction",
        output_column: str = "output",
        input_column: str = INPUT,
        drop_empty: bool = False,
    ) -> None:
        self._drop_empty = drop_empty
        self._wanted = DataSetRef(path, split, config, revision)
        self._columns = {"instruction": instruction_column, "output": output_column, INPUT: input_column}
        self.size: int | None = None  # number of rows, counted by `check`

    def rows(self) -> Iterator[SourceRow]:
        """Yield the rows in order; raise UsageError (data set, row) for a row that can't be used."""
        return (row for _, row in self._placed_rows())

    def _placed_rows(self) -> Iterator[tuple[str, SourceRow]]:
        """Yield each row with its data set and number."""
        names = self._columns
        for number, row in enumerate(self._kept.stream()):
            instruction, output = row.text(names["instruction"]), row.text(names["output"])
            if not instruction.strip():
                raise UsageError(f"{row.place}: `{names['instruction']}` is empty; remove the row")
            if self._drop_empty and not output.strip():
                continue
            further = row.text(names[INPUT], "")
            language = row.text("language", "") or fence_tag(output)
            fields = (instruction, output, further, language)
            yield row.place, SourceRow(f"{number:07d}", *fields, task_id=self._task_id(row))

    def _task_id(self, row: JsonRow) -> str:
        """Return the task id of a row, or an empty string; a bare number gets the data set's name before it."""
        task = str(row.fields.get("task_id") or "")
        return f"{Path(self._wanted.path).name}/{task}" if task.isdigit() else task

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the sha256 of the rows, the hub's commit, the names of the columns, and which rows are left out."""
        dropped = {"drop_empty": True} if self._drop_empty else {}
        return {**self._kept.fingerprint(), "columns": self._columns, **dropped}

    def check(self) -> None:
        """Fetch the data set unless it is kept already, and read it; raise UsageError for rows that can't be used."""
        self.size = checked_size(self._placed_rows(), self._columns["output"])

    @cached_property
    def _kept(self) -> CachedRows:
        kept = fetch(self._wanted)
        for field, column in self._columns.items():
            if column not in kept.columns and (field, column) != (INPUT, INPUT):
                near = did_you_mean(column, kept.columns)
                raise UsageError(
                    f"data set {kept.path} has no column {column!r}{near}; it has {', '.join(kept.columns)}: name the "
                    f"one with the {field} as `{field}_column`"
                )
        return kept
