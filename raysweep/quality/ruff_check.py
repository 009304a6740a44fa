"""Lints files with ``ruff check``, a second opinion that takes milliseconds a file.

Ruff's rules are other code than pylint's, so where both count alike, neither's quirks made the count. The rules are
pycodestyle's (E, W), Pyflakes' (F) and those that ruff took from pylint (PL), at pylint's line length of 100. No
configuration file is read and no cache is kept. Ruff gives no score. Comments such as ``# noqa`` count.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raysweep.errors import MissingInput, install_extra
from raysweep.machine import versions
from raysweep.quality.files import SourceFile
from raysweep.quality.linting import report_of, require_unique
from raysweep.quality.reports import FileReport, LintMessage, LintOutcome, LintReports

RUFF_ARGUMENTS = (
    *("check", "--isolated", "--no-cache", "--no-fix", "--exit-zero", "--quiet", "--output-format=json"),
    *("--select=E,W,F,PL", "--line-length=100", "--target-version=py311"),
)
"""Ruff's arguments: no configuration file, no cache, all rules named."""
SYNTAX_ERROR = "invalid-syntax"
"""The code of a message about text that ruff can't parse."""
CALL_SECONDS, FILE_SECONDS = 60.0, 1.0
"""Wall time of one call: so much, and so much more for each file."""
MEMORY_BYTES = 4 * 2**30
"""Address space of ruff, whose threads each reserve some."""
MOST_FILES = 500
"""Files of one call, whose names stand on its command line."""
UNREAD = "unread"
"""Stands as the code of a message about a file that ruff could not read, with the reason as its symbol."""


def require_ruff() -> None:
    """Raise MissingInput, a UsageError that names the extra, if ruff isn't installed."""
    if importlib.util.find_spec("ruff") is None:
        raise MissingInput(f"the second opinion on code quality needs the package ruff: {install_extra('quality')}")


def ruff_fingerprint() -> Mapping[str, Any]:
    """Return what ruff's reports depend on beside the files; raise UsageError if ruff isn't installed."""
    require_ruff()
    return {**versions(("ruff",)), "arguments": list(RUFF_ARGUMENTS)}


def check_with_ruff(files: Sequence[SourceFile]) -> LintReports:
    """Return what ruff says of each file.

    Files go to ruff in few calls. A call that fails or takes too long is split, so that one file can't cost the others
    their reports. A file that ruff can't read has the message `UNREAD`.

    Raises:
        UsageError: ruff isn't installed, or two files have the same id.
    """
    require_ruff()
    require_unique(files)
    reports, messages = [], []
    with tempfile.TemporaryDirectory(prefix="raysweep-ruff-") as folder:
        for number, file in enumerate(files):
            Path(folder, f"f{number}.py").write_bytes(file.content)
        for start in range(0, len(files), MOST_FILES):
            numbers = range(start, min(start + MOST_FILES, len(files)))
            for number, outcome, rows in _checked(folder, numbers):
                reports.append((number, report_of(files[number], outcome)))
                messages += [_message(files[number], row) for row in rows]
                if outcome != LintOutcome.LINTED:
                    messages.append(LintMessage(files[number].file_id, UNREAD, outcome, 0, 0))
    ordered: tuple[FileReport, ...] = tuple(report for _, report in sorted(reports, key=lambda pair: pair[0]))
    return LintReports(ordered, tuple(sorted(messages, key=lambda m: (m.file_id, m.line, m.column, m.code))))


_Checked = list[tuple[int, LintOutcome, list[Mapping[str, Any]]]]


def _checked(folder: str, numbers: Sequence[int]) -> _Checked:
    """Return number, outcome and ruff's rows of each file; halves a call that fails."""
    try:
        rows = _call(folder, [f"f{number}.py" for number in numbers], CALL_SECONDS + FILE_SECONDS * len(numbers))
    except (subprocess.SubprocessError, ValueError) as error:
        if len(numbers) == 1:
            late = isinstance(error, subprocess.TimeoutExpired)
            return [(numbers[0], LintOutcome.TIMEOUT if late else LintOutcome.CRASHED, [])]
        half = len(numbers) // 2
        return _checked(folder, numbers[:half]) + _checked(folder, numbers[half:])
    by_name: dict[str, list[Mapping[str, Any]]] = {f"f{number}.py": [] for number in numbers}
    for row in rows:
        by_name[Path(row["filename"]).name].append(row)
    return [(number, LintOutcome.LINTED, by_name[f"f{number}.py"]) for number in numbers]


def _call(folder: str, names: Sequence[str], seconds: float) -> list[Mapping[str, Any]]:
    """Run ruff on some files of a folder; raise SubprocessError or ValueError if it fails."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV") if name in os.environ}
    command = [sys.executable, "-s", "-P", "-m", "ruff", *RUFF_ARGUMENTS, *names]
    with subprocess.Popen(
        command, cwd=folder, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            output, errors = process.communicate(timeout=seconds)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output, errors)
    rows: list[Mapping[str, Any]] = json.loads(output)
    return rows


def _message(file: SourceFile, row: Mapping[str, Any]) -> LintMessage:
    place = row.get("location") or {"row": 0, "column": 1}
    line = int(place["row"])
    code = row.get("code") or SYNTAX_ERROR
    return LintMessage(
        file.file_id,
        code,
        row.get("name") or code,
        line,
        max(0, int(place["column"]) - 1),
        0 < line <= file.prompt_lines,
    )
