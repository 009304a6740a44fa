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
from raysweep.rows.csv_files import without_empty
from raysweep.rows.hub import CachedRows, DataSetRef, fetch
from raysweep.rows.json_files import JsonRow
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.jsonl import ShapedRows
from raysweep.training_sets.row_shapes import CHOSEN, INPUT, INSTRUCTION, OUTPUT, further_shape


@SOURCES.register("hf")
class HubRows(ShapedRows):
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
        super().__init__(drop_empty, rejected_field, (instruction_column, output_column, input_column))
        self._wanted = DataSetRef(path, split, config, revision)

    @override
    def _file_rows(self) -> Iterator[JsonRow]:
        is_csv, rejected = self._kept.is_csv, self._rejected
        return (without_empty(row, rejected) if is_csv else row for row in self._kept.stream())

    @override
    def _task_id(self, row: JsonRow) -> str:
        task = str(row.fields.get("task_id") or "")  # a bare number gets the data set's name before it
        return f"{Path(self._wanted.path).name}/{task}" if task.isdigit() else task

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        """Return the sha256 of the rows, the hub's commit, the names of the columns, and which rows are left out."""
        read = {"columns": self._columns, "drop_empty": self._drop_empty, "rejected": self._rejected}
        return {**self._kept.fingerprint(), **read, **self._read_version()}

    @cached_property
    def _kept(self) -> CachedRows:
        kept = fetch(self._wanted)
        names_none = (self._columns[INSTRUCTION], self._columns[OUTPUT]) == (INSTRUCTION, OUTPUT)
        has_further_shape = names_none and bool(further_shape(kept.columns))
        for field, column in self._columns.items():
            may_lack = field == column and (field == INPUT or (field == OUTPUT and CHOSEN in kept.columns))
            if column not in kept.columns and not may_lack and not (has_further_shape and field != INPUT):
                near = did_you_mean(column, kept.columns)
                raise UsageError(
                    f"data set {kept.path} has no column {column!r}{near}; it has {', '.join(kept.columns)}: name the "
                    f"one with the {field} as `{field}_column`"
                )
        return kept
