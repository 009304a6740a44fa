"""Training-set source `jsonl`: rows {instruction, output, optional input, language, task_id} from a user's file.

The file has one JSON object in each line, or is one JSON array; it may be gzipped. Rows of other data sets' shapes
(row_shapes.py) are read too. The language of a row without one is the tag of the first code fence in its output, in
lower case.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.prompts.answers.reasoning import has_reasoning
from raysweep.records import SourceRow
from raysweep.rows.json_files import JsonRow, content_sha, read_json_rows
from raysweep.training_sets.base import SOURCES, TrainingSource, checked_size
from raysweep.training_sets.row_shapes import INPUT, INSTRUCTION, OUTPUT, may_have_turns, texts_of, unread_names

_FENCE_TAG = re.compile(r"^[ \t]*(?:```|~~~)[ \t]*([\w+#.-]+)[ \t]*\r?$", re.MULTILINE)


class ShapedRows(TrainingSource):
    """Rows of the shapes that row_shapes.py reads; a row's id is its number, from 0, in seven digits.

    `check` sets these attributes:
        size: number of rows.
        unread: names of columns, and of keys of messages, that rows have and nobody reads.
        with_system: number of rows with a system text.
        with_history: number of rows with earlier turns.
        in_turns: the first row with a system text, with earlier turns, with an earlier answer that may be trained on,
            and with reasoning in such an answer, as far as there are such.
    """

    def __init__(
        self, drop_empty: bool, rejected_field: str | None, columns: tuple[str, str, str] = (INSTRUCTION, OUTPUT, INPUT)
    ) -> None:
        self._drop_empty, self._rejected = drop_empty, rejected_field
        self._columns = dict(zip((INSTRUCTION, OUTPUT, INPUT), columns, strict=True))
        self.size: int | None = None
        self.unread: tuple[str, ...] = ()
        self.with_system = self.with_history = 0
        self.in_turns: tuple[SourceRow, ...] = ()
        self._masks = False  # whether a row has an earlier answer that isn't trained on

    @abstractmethod
    def _file_rows(self) -> Iterable[JsonRow]: ...

    def _task_id(self, row: JsonRow) -> str:
        return row.label("task_id", "")

    @override
    def rows(self) -> Iterator[SourceRow]:
        return (row for *_, row in self._placed_rows(None))

    @override
    def check(self) -> None:
        unread: dict[str, None] = {}
        example: dict[str, SourceRow] = {}
        self.with_system = self.with_history = 0

        def counted() -> Iterator[tuple[str, str, SourceRow]]:
            for place, answer, row in self._placed_rows(unread):
                if row.system:
                    self.with_system += 1
                    example.setdefault("system", row)
                if row.history:
                    self.with_history += 1
                    example.setdefault("history", row)
                    if trained := _trained_answers(row):
                        example.setdefault("trained", row)
                        if "reasoning" not in example and any(map(has_reasoning, trained)):
                            example["reasoning"] = row
                    self._masks |= bool(row.masked)
                yield place, answer, row

        columns = (name for row in self._file_rows() for name in row.fields)
        self.size = checked_size(counted(), self._rejected, columns)
        self.unread, self.in_turns = tuple(unread), tuple(dict.fromkeys(example.values()))

    def _placed_rows(self, unread: dict[str, None] | None) -> Iterator[tuple[str, str, SourceRow]]:
        """Yield each row with its place and its answer's column; add what isn't read to `unread`, if it is given."""
        for number, row in enumerate(self._file_rows()):
            texts = texts_of(row, self._rejected, self._columns)
            if unread is not None:
                unread |= dict.fromkeys(unread_names(row, texts))
            if not texts.instruction.strip():
                raise UsageError(f"{row.place}: the instruction is empty; remove the row")
            if self._drop_empty and not texts.output.strip():
                continue
            yield (
                row.place,
                texts.answer,
                SourceRow(
                    f"{number:07d}",
                    texts.instruction,
                    texts.output,
                    texts.input,
                    row.text("language", "") or fence_tag(texts.output),
                    task_id=self._task_id(row),
                    rejected=texts.rejected,
                    system=texts.system,
                    history=texts.history,
                    masked=texts.masked,
                ),
            )

    def _read_version(self) -> dict[str, Any]:
        """Return what the fingerprint of rows with a system text or earlier turns has beside those of other rows."""
        in_turns, masks = bool(self.in_turns), self._masks
        with suppress(UsageError):  # `check` reports it
            if self.size is None and any(map(may_have_turns, self._file_rows())):
                found = {bool(row.masked) for row in self.rows() if row.system or row.history}
                in_turns, masks = bool(found), True in found
        return ({"turns": 1} if in_turns else {}) | ({"masked": 1} if masks else {})


@SOURCES.register("jsonl")
class JsonlSource(ShapedRows):
    """The rows of a file; a row's id is its number in the file, from 0, in seven digits.

    Args:
        path: the file, relative to the working folder or absolute.
        drop_empty: leave out rows whose output is empty.
        rejected_field: the field with a worse response to the same instruction; a config writes it as
            `rejected: {field: NAME}`. Rows without one have none, and `check` refuses a file in which none has.
    """

    def __init__(self, path: str, drop_empty: bool = False, rejected_field: str | None = None) -> None:
        super().__init__(drop_empty, rejected_field)
        self._path = Path(path).expanduser().absolute()  # workers run in other folders

    @override
    def _file_rows(self) -> Iterable[JsonRow]:
        return read_json_rows(self._path)

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        """Return the sha256 of the uncompressed file, which rows are left out, and what is read of them."""
        read = {"drop_empty": self._drop_empty, "rejected": self._rejected}
        return {"sha256": content_sha(self._path), **read, **self._read_version()}


def _trained_answers(row: SourceRow) -> list[str]:
    masked = row.masked.split(",")
    return [answer for number, answer in enumerate(row.history[1::2]) if str(number) not in masked]


def fence_tag(output: str) -> str:
    """Return the tag of the first code fence of a text in lower case; empty if there is none."""
    tag = _FENCE_TAG.search(output)
    return tag[1].lower() if tag else ""
