"""Training-set source `hf`: rows of a data set that Hugging Face's `datasets` reads, by hub id or local path.

The data set is read once and kept as Parquet with its commit (`raysweep.rows.hub`); rows are streamed from that copy.
Where no columns are named, rows of other data sets' shapes (row_shapes.py) are read too. The columns `language` and
`task_id` are used if they exist. The language of a row without one is the tag of the first code fence in its output, in
lower case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from typing_extensions import override

from raysweep.errors import UsageError, did_you_mean
from raysweep.records import SourceRow
from raysweep.rows.hub import CachedRows, DataSetRef, fetch
from raysweep.training_sets.base import SOURCES, TrainingSource, checked_size
from raysweep.training_sets.jsonl import fence_tag
from raysweep.training_sets.row_shapes import (
    INSTRUCTION,
    OUTPUT,
    further_shape,
    instruction_and_output,
    rejected_response,
)

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
        rejected_field: the field with a worse response to the same instruction; a config writes it as
            `rejected: {field: NAME}`. Rows without one have none, and `check` refuses a file in which none has.
    """

    origin = "https://huggingface.co/datasets"

    def __init__(
        self,
        path: str,
        split: str = "train",
        config: str | None = None,
        revision: str | None = None,
        instruction_column: str = INSTRUCTION,
        output_column: str = OUTPUT,
        input_column: str = INPUT,
        drop_empty: bool = False,
        rejected_field: str | None = None,
    ) -> None:
        self._rejected = rejected_field
        self._drop_empty = drop_empty
        self._wanted = DataSetRef(path, split, config, revision)
        self._columns = {"instruction": instruction_column, "output": output_column, INPUT: input_column}
        self._has_further_shape = False  # of the rows that were fetched
        self.size: int | None = None  # number of rows, counted by `check`

    @override
    def rows(self) -> Iterator[SourceRow]:
        return (row for _, row in self._placed_rows())

    def _placed_rows(self) -> Iterator[tuple[str, SourceRow]]:
        names, kept = self._columns, self._kept
        for number, row in enumerate(kept.stream()):
            if self._has_further_shape:
                instruction, output = instruction_and_output(row)
            else:
                instruction, output = row.text(names["instruction"]), row.text(names["output"])
            if not instruction.strip():
                raise UsageError(f"{row.place}: the instruction is empty; remove the row")
            if self._drop_empty and not output.strip():
                continue
            further = row.text(names[INPUT], "")
            language = row.text("language", "") or fence_tag(output)
            fields = (instruction, output, further, language)
            rejected = rejected_response(row, self._rejected)
            task = str(row.fields.get("task_id") or "")  # a bare number gets the data set's name before it
            task_id = f"{Path(self._wanted.path).name}/{task}" if task.isdigit() else task
            yield row.place, SourceRow(f"{number:07d}", *fields, task_id=task_id, rejected=rejected)

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        """Return the sha256 of the rows, the hub's commit, the names of the columns, and which rows are left out."""
        read = {"columns": self._columns, "drop_empty": self._drop_empty, "rejected": self._rejected}
        return {**self._kept.fingerprint(), **read}

    @override
    def check(self) -> None:
        output, columns = self._columns["output"], list(self._kept.columns)
        self.size = checked_size(self._placed_rows(), output, self._rejected, columns)

    @cached_property
    def _kept(self) -> CachedRows:
        kept = fetch(self._wanted)
        names_none = (self._columns["instruction"], self._columns["output"]) == (INSTRUCTION, OUTPUT)
        self._has_further_shape = names_none and bool(further_shape(kept.columns))
        for field, column in self._columns.items():
            is_absent = column not in kept.columns and (field, column) != (INPUT, INPUT)
            if is_absent and not (self._has_further_shape and field != INPUT):
                near = did_you_mean(column, kept.columns)
                raise UsageError(
                    f"data set {kept.path} has no column {column!r}{near}; it has {', '.join(kept.columns)}: name the "
                    f"one with the {field} as `{field}_column`"
                )
        return kept
