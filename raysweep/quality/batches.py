"""Lints the files of several groups in one process of each linter, and gives each group its own reports.

A group is what becomes an artefact: the sampled completions of one cell on one problem set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raysweep.quality.files import SourceFile
from raysweep.quality.linting import fingerprint, lint
from raysweep.quality.reports import MESSAGES, SECOND, FileReport, LintMessage, LintReports
from raysweep.quality.ruff_check import check_with_ruff, ruff_fingerprint
from raysweep.rows.parquet import ROWS, write_rows

SECOND_LINTER = "second"
"""In a fingerprint: what the second linter's reports depend on."""
_ORDER = ("file_id", "line", "column", "code")


def fingerprint_of_linters(*, second_opinion: bool) -> Mapping[str, Any]:
    """Return the linters' versions and settings, for keys; raise MissingInput if a linter isn't installed."""
    return {**fingerprint(), **({SECOND_LINTER: ruff_fingerprint()} if second_opinion else {})}


@dataclass(frozen=True)
class GroupReports:
    """What the linters say of one group. `second`: messages of the second linter; None: it has read no file."""

    reports: LintReports
    second: tuple[LintMessage, ...] | None = None

    def write(self, folder: Path) -> None:
        write_rows(folder / ROWS, FileReport, self.reports.files, ["file_id"])
        write_rows(folder / MESSAGES, LintMessage, self.reports.messages, _ORDER)
        if self.second is not None:
            write_rows(folder / SECOND, LintMessage, self.second, _ORDER)

    def counts(self) -> dict[str, Any]:
        return {
            "rows": len(self.reports.files),
            "messages": len(self.reports.messages),
            "outcomes": dict(sorted(Counter(file.outcome for file in self.reports.files).items())),
            "cpu_seconds": round(sum(file.seconds for file in self.reports.files), 2),
        }


def lint_groups(
    groups: Mapping[str, Sequence[SourceFile]], *, second_opinion: bool, report: Callable[[int, int], None]
) -> dict[str, GroupReports]:
    """Lint the files of all groups, pylint's in one process; return the reports of each group by its name.

    `groups`: files by the group's name; ids of files are unique in a group. `report`: called with the number of files
    that pylint has read, and that of all.

    Raises:
        RaysweepError: a linter can't be started.
    """
    files = [replace(file, file_id=_id(name, file)) for name, group in groups.items() for file in group]
    reports = lint(files, report=report)
    second = check_with_ruff(files) if second_opinion else None
    return {
        name: GroupReports(_part(reports, name, group), _part(second, name, group).messages if second else None)
        for name, group in groups.items()
    }


def _id(group: str, file: SourceFile) -> str:
    return f"{group}/{file.file_id}"


def _part(reports: LintReports, group: str, files: Sequence[SourceFile]) -> LintReports:
    ids = {_id(group, file): file.file_id for file in files}
    return LintReports(
        tuple(replace(file, file_id=ids[file.file_id]) for file in reports.files if file.file_id in ids),
        tuple(replace(message, file_id=ids[message.file_id]) for message in reports.messages if message.file_id in ids),
    )
