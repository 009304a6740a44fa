"""Lints the files of several groups in one process, and gives each group its own reports.

A group is what becomes an artefact: the sampled completions of one cell on one problem set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from raysweep.quality.files import SourceFile
from raysweep.quality.linting import lint
from raysweep.quality.reports import LintReports


def lint_groups(
    groups: Mapping[str, Sequence[SourceFile]], *, report: Callable[[int, int], None]
) -> dict[str, LintReports]:
    """Return the reports of each group by its name.

    `groups`: files by the group's name; ids of files are unique in a group. `report`: called with the number of files
    that were read, and that of all.

    Raises:
        RaysweepError: pylint can't be started.
    """
    own_ids = {name: {f"{name}/{file.file_id}": file.file_id for file in files} for name, files in groups.items()}
    every = [replace(file, file_id=f"{name}/{file.file_id}") for name, files in groups.items() for file in files]
    reports = lint(every, report=report)
    return {
        name: LintReports(
            tuple(replace(file, file_id=ids[file.file_id]) for file in reports.files if file.file_id in ids),
            tuple(replace(one, file_id=ids[one.file_id]) for one in reports.messages if one.file_id in ids),
        )
        for name, ids in own_ids.items()
    }
