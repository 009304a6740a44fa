"""Training-set source `csv`: rows of a user's CSV file, whose first line names the columns, and whose cells are texts.

The columns are the fields of the source `jsonl`: instruction, output, and, if they are there, input, language and
task_id; or prompt and completion, or prompt and chosen (row_shapes.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.rows.csv_files import stream_csv_rows, without_empty
from raysweep.rows.json_files import JsonRow
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.jsonl import JsonlSource
from raysweep.training_sets.row_shapes import KNOWN


@SOURCES.register("csv")
class CsvSource(JsonlSource):
    """The rows of a CSV file; a row's id is its number in the file, from 0, in seven digits.

    Args:
        path: the file, relative to the working folder or absolute.
        drop_empty: leave out rows whose output is empty.
        rejected_field: the column with a worse response to the same instruction; a config writes it as
            `rejected: {field: NAME}`. A row with an empty cell there has none, and `check` refuses a file in which
            none has.
    """

    @override
    def check(self) -> None:
        columns = next(stream_csv_rows(self._path)).fields
        if KNOWN.isdisjoint(columns):
            raise UsageError(
                f"{self._path}:1: line 1 must name the columns, as in `instruction,output` (or `prompt,completion`, "
                f"`prompt,chosen`), with the rows below; it is {', '.join(columns)!r:.80}"
            )
        super().check()

    @override
    def _file_rows(self) -> Iterator[JsonRow]:
        return (without_empty(row, self._rejected) for row in stream_csv_rows(self._path))
