"""pylint as a command on one file, the reference that `lint` is compared with; ways to write its result and ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from raysweep.quality.files import SourceFile
from raysweep.quality.linting import ARGUMENTS, FILE_NAME
from raysweep.quality.reports import LintReports

TEMPLATE = "--msg-template=MESSAGE {msg_id} {symbol} {line} {column}"
RATED = re.compile(r"^Your code has been rated at (-?\d+\.\d\d)/10", re.MULTILINE)
Printed = tuple[str | None, tuple[tuple[str, str, int, int], ...]]
"""A score as printed, None where none is printed, and the messages, sorted: code, symbol, line, column."""


def alone(file: SourceFile, folder: Path) -> Printed:
    """Run ``pylint`` in a process of its own on one file, in an empty folder."""
    folder.mkdir(parents=True)
    (folder / FILE_NAME).write_bytes(file.content)
    done = subprocess.run(
        [sys.executable, "-s", "-P", "-m", "pylint", *ARGUMENTS, TEMPLATE, FILE_NAME],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYLINTHOME": str(folder / "home"), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    rows = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("MESSAGE ")]
    messages = sorted((code, symbol, int(line), int(column)) for code, symbol, line, column in rows)
    rated = RATED.search(done.stdout)
    return rated[1] if rated else None, tuple(messages)


def printed(reports: LintReports, file_id: str) -> Printed:
    """Return what pylint would print of a file, by our report."""
    (file,) = [file for file in reports.files if file.file_id == file_id]
    messages = sorted((m.code, m.symbol, m.line, m.column) for m in reports.messages if m.file_id == file_id)
    return None if file.score is None else f"{file.score:.2f}", tuple(messages)
