"""Training-set source `jsonl`: rows {instruction, output, optional input, language, task_id} from a user's file.

One JSON object a line, or one JSON array; gzip is read too. A row without a language takes the tag of the first code
fence in its output, in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError
from raysweep.jsonrows import content_sha, read_json_rows
from raysweep.records import SourceRow
from raysweep.training_sets.base import SOURCES, TrainingSource

_FENCE_TAG = re.compile(r"^[ \t]*(?:```|~~~)[ \t]*([\w+#.-]+)[ \t]*$", re.MULTILINE)


@SOURCES.register("jsonl")
class JsonlSource(TrainingSource):
    """The rows of a file; a row's id is its number in the file, from 0, in seven digits.

    Args:
        path: the file, relative to the working folder or absolute.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser().absolute()  # workers run in other folders
        self.size: int | None = None  # rows, once `check` has counted them

    def rows(self) -> Iterator[SourceRow]:
        """Yield the rows in the file's order; raise UsageError (file, line) for one that can't be used."""
        for number, row in enumerate(read_json_rows(self._path)):
            instruction, output = row.text("instruction"), row.text("output")
            if not instruction.strip():
                raise UsageError(f"{row.place}: `instruction` is empty; remove the row")
            yield SourceRow(
                row_id=f"{number:07d}",
                instruction=instruction,
                output=output,
                input=row.text("input", ""),
                language=row.text("language", "") or fence_tag(output),
                task_id=row.text("task_id", ""),
            )

    def fingerprint(self) -> Mapping[str, Any]:
        """Return {sha256 of the unzipped file}."""
        return {"sha256": content_sha(self._path)}

    def check(self) -> None:
        """Read the whole file; raise UsageError (file, line, what is wrong) at the first row that can't be used."""
        self.size = sum(1 for _ in self.rows())


def fence_tag(output: str) -> str:
    """Return the tag of the first code fence of a text in lower case; empty where there is none."""
    found = _FENCE_TAG.search(output)
    return found[1].lower() if found else ""
