"""Training-set source `repair`: faults and their fixes, from a user's file or from MiniCode.

The instruction of a row is its code with the hunk marked (raysweep/prompts/repair/hunks.py), and the output is the fix.
The file has one JSON object a line, {before, buggy, after, fixed, optional language, task_id}, or in clm's form
{buggy function before, buggy line, buggy function after, fixed line} (https://github.com/lin-tan/clm).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError, did_you_mean
from raysweep.problems.file_problems import language_name
from raysweep.problems.minicode.world import GENERATOR_VERSION, training_task
from raysweep.problems.repair.minirepair import VERSION, faulty
from raysweep.programs import JAVA, LANGUAGES, PYTHON
from raysweep.prompts.repair.hunks import Hunk, comment_mark, fault_between, marked
from raysweep.prompts.repair.natural import protected_marked, split_marked
from raysweep.records import Segment, SourceRow
from raysweep.rows.json_files import JsonRow, check_file, content_sha, read_json_rows
from raysweep.seeding import python_rng
from raysweep.training_sets.base import SOURCES, TrainingSource
from raysweep.training_sets.minicode import MiniCodeRows

_FIELDS = ("before", "buggy", "after", "fixed")
_OF_CLM = ("buggy function before", "buggy line", "buggy function after", "fixed line")


class _MarkedRows(TrainingSource):
    """Rows whose instructions are code with a marked hunk."""

    repair = True
    words = 2  # before 2, identifiers were not protected, and some strings of Python were taken for docstrings

    def segments(self, row: SourceRow, text: str) -> list[Segment]:
        """Split an instruction: the text of comments and docstrings is natural, the rest verbatim."""
        return split_marked(text, row.language, row.entry_point) if text else []

    def protected(self, row: SourceRow) -> frozenset[str]:
        """Return the names of the code."""
        return protected_marked(row.instruction, row.language)


@SOURCES.register("repair")
class RepairRows(_MarkedRows):
    """The rows of a file of faults and fixes; a row's id is its number in the file, from 0, in seven digits.

    Args:
        path: the file, relative to the working folder or absolute.
        language: of rows that name none.
    """

    def __init__(self, path: str, language: str = JAVA) -> None:
        self._path = Path(path).expanduser().absolute()  # workers run in other folders
        self._language = language
        check_file(self._path)
        self.size: int | None = None  # number of rows, counted by `check`

    def rows(self) -> Iterator[SourceRow]:
        """Yield the rows in the file's order; raise UsageError (file, line) for a row that can't be used."""
        for number, row in enumerate(read_json_rows(self._path)):
            yield self._row(f"{number:07d}", row)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the sha256 of the uncompressed file, and the language of rows that name none."""
        return {"sha256": content_sha(self._path), "language": self._language}

    def check(self) -> None:
        """Read the whole file; raise UsageError (file, line, mistake) if a row can't be used."""
        self.size = sum(1 for _ in self.rows())

    def _row(self, row_id: str, row: JsonRow) -> SourceRow:
        names = _OF_CLM if _OF_CLM[0] in row.fields else _FIELDS
        before, buggy, after, fixed = (_whole_lines(row.text(name)) for name in names)
        language = language_name(row.text("language", "") or self._language)
        if language not in LANGUAGES:
            near = f"{language!r}{did_you_mean(language, LANGUAGES)}"
            raise UsageError(f"{row.place}: language {near} is none of {', '.join(LANGUAGES)}")
        if before != row.text(names[0]):
            raise UsageError(
                f"{row.place}: `{names[0]}` ends within a line, and a hunk is whole lines; move the beginning of that "
                f"line to `{names[1]}` and `{names[3]}`, or end it by a line feed"
            )
        if fixed == buggy:
            raise UsageError(f"{row.place}: `{names[3]}` equals `{names[1]}`, so nothing is mended; remove the row")
        try:
            instruction = marked(Hunk(before, buggy, after), comment_mark(language))
        except UsageError as error:
            raise UsageError(f"{row.place}: {error}") from None
        return SourceRow(row_id, instruction, fixed, language=language, task_id=row.label("task_id", ""))


@SOURCES.register("minirepair")
class MiniRepairRows(_MarkedRows):
    """A mutant of each of the first rows of a world of MiniCode that has one, and its fix.

    Args:
        world: the world's seed.
        rows: how many rows of MiniCode.
        part: ``pretraining``, ``finetuning`` or ``validation``.

    Raises:
        UsageError: the part is unknown, or `rows` isn't positive.
    """

    licence = "Apache-2.0"
    origin = "generated by raysweep"
    apart_from = frozenset({"minicode", "minirepair"})  # a problem's prompt or, to be repaired, code is no row's

    def __init__(self, world: int, rows: int, part: str = "finetuning") -> None:
        self._minicode = MiniCodeRows(world, rows, part)
        self.world, self.size, self.part = world, rows, part

    def rows(self) -> Iterable[SourceRow]:
        """Yield the rows."""
        for index in range(self.size):
            task = training_task(self.world, self.part, index)
            right, rng = f"{task.prompt}{task.body}", python_rng(self.world, "minirepair", self.part, index)
            wrong = next(faulty(right, len(task.prompt), rng), None)
            if wrong is not None:
                fault = fault_between(wrong, right, PYTHON)
                instruction = marked(fault.hunk, comment_mark(PYTHON))
                yield SourceRow(f"minirepair-{self.part}-{index}", instruction, fault.fixed, language=PYTHON)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the versions of both generators and the arguments."""
        return {"generator": GENERATOR_VERSION, "mutants": VERSION} | {
            "world": self.world,
            "rows": self.size,
            "part": self.part,
        }


def _whole_lines(text: str) -> str:
    """Return a text with a line end behind its last line."""
    return text if not text or text.endswith("\n") else f"{text}\n"
