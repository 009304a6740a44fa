"""Training-set source `jsonl`: rows {instruction, output, optional input, language, task_id} from a user's file.

The file has one JSON object in each line, or is one JSON array; it may be gzipped. Rows of other data sets' shapes
(row_shapes.py) are read too. The language of a row without one is the tag of the first code fence in its output, in
lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.records import SourceRow
from raysweep.rows.json_files import JsonRow, content_sha, read_json_rows
from raysweep.training_sets.base import SOURCES, TrainingSource, checked_size
from raysweep.training_sets.row_shapes import instruction_and_output, rejected_response

_FENCE_TAG = re.compile(r"^[ \t]*(?:```|~~~)[ \t]*([\w+#.-]+)[ \t]*\r?$", re.MULTILINE)


@SOURCES.register("jsonl")
class JsonlSource(TrainingSource):
    """The rows of a file; a row's id is its number in the file, from 0, in seven digits.

    Args:
        path: the file, relative to the working folder or absolute.
        drop_empty: leave out rows whose output is empty.
        rejected_field: the field with a worse response to the same instruction; a config writes it as
            `rejected: {field: NAME}`. Rows without one have none, and `check` refuses a file in which none has.
    """

    def __init__(self, path: str, drop_empty: bool = False, rejected_field: str | None = None) -> None:
        self._rejected = rejected_field
        self._drop_empty = drop_empty
        self._path = Path(path).expanduser().absolute()  # workers run in other folders
        self.size: int | None = None  # number of rows, counted by `check`

    @override
    def rows(self) -> Iterator[SourceRow]:
        return (row for _, row in self._placed_rows())

    def _file_rows(self) -> Iterable[JsonRow]:
        return read_json_rows(self._path)

    def _placed_rows(self) -> Iterator[tuple[str, SourceRow]]:
        for number, row in enumerate(self._file_rows()):
            instruction, output = instruction_and_output(row)
            if not instruction.strip():
                raise UsageError(f"{row.place}: the instruction is empty; remove the row")
            language = row.text("language", "") or fence_tag(output)
            if self._drop_empty and not output.strip():
                continue
            fields = (instruction, output, row.text("input", ""), language)
            rejected = rejected_response(row, self._rejected)
            yield row.place, SourceRow(f"{number:07d}", *fields, task_id=row.label("task_id", ""), rejected=rejected)

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        """Return the sha256 of the uncompressed file, which rows are left out, and what is read of them."""
        return {"sha256": content_sha(self._path), "drop_empty": self._drop_empty, "rejected": self._rejected}

    @override
    def check(self) -> None:
        columns = next((list(row.fields) for row in self._file_rows()), []) if self._rejected else []
        self.size = checked_size(self._placed_rows(), rejected=self._rejected, columns=columns)


def fence_tag(output: str) -> str:
    """Return the tag of the first code fence of a text in lower case; empty if there is none."""
    tag = _FENCE_TAG.search(output)
    return tag[1].lower() if tag else ""
