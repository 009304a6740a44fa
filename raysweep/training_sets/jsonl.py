"""Training-set source `jsonl`: rows {instruction, output, optional input, optional language} from a user's file.

One JSON object a line, or one JSON array; gzip is read too. A row without a language takes the tag of the first code
fence in its output, in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
        self._path = Path(path).expanduser()

    def rows(self) -> Iterator[SourceRow]:
        """Yield the rows in the file's order; raise UsageError (file, line) for one that can't be used."""
        for number, row in enumerate(read_json_rows(self._path)):
            output = row.text("output")
            yield SourceRow(
                row_id=f"{number:07d}",
                instruction=row.text("instruction"),
                output=output,
                input=row.text("input", ""),
                language=row.text("language", "") or _fence_tag(output),
            )

    def fingerprint(self) -> Mapping[str, Any]:
        """Return {sha256 of the unzipped file}."""
        return {"sha256": content_sha(self._path)}

    def check(self) -> None:
        """Read the whole file; raise UsageError (file, line, what is wrong) at the first row that can't be used."""
        for _ in self.rows():
            pass


def _fence_tag(output: str) -> str:
    found = _FENCE_TAG.search(output)
    return found[1].lower() if found else ""
