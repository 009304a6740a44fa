"""Lints files with pylint: many in one child process, each as if pylint were run on it alone.

The files of a batch share nothing but pylint's set-up (pylint_child.py). Each has a folder of its own and the same
name there, and is linted by a fork of the child that makes the same calls as the command; the score is the one that
``pylint`` prints. Only messages about several files (R0801, R0401) are switched off, in the batch as in the command
with `ARGUMENTS`.

The configuration is `ARGUMENTS` and pylint's defaults: no configuration file is read, nothing is kept from run to run.
What a file imports is looked up in the standard library and among the packages installed beside pylint, so a missing
package is an import error (E0401), as it is for the command. Comments such as ``# pylint: skip-file`` count, too.

One difference is left. pylint gives up (F0002) where an expression is so deep that inferring it exceeds Python's limit
of recursion, from some 160 operators in a row on, and how deep it can go depends on the few frames in which pylint
itself was called: ``pylint`` and ``python -m pylint`` differ by them, too. A file at that very edge (162 operators, of
all lengths tried) may have an F0002 in one and not in the other.

Limits are those of a file. What a file beyond them costs is its own report: `LintOutcome` says which limit it was.

pylint's licence is GPL-2.0-or-later. It is an extra, runs in a process of its own, and is not distributed with
raysweep.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raysweep.errors import MissingInput, RaysweepError, UsageError, install_extra
from raysweep.machine import versions
from raysweep.quality.files import LINE_END, SourceFile
from raysweep.quality.reports import FileReport, LintMessage, LintOutcome, LintReports

ARGUMENTS = ("--rcfile=", "--persistent=no", "--jobs=1", "--disable=R0801,R0401")
"""pylint's arguments: no configuration file, no memory of earlier runs, no checks that compare files."""
FILE_NAME = "completion.py"
"""The name of every file, each in a folder of its own; the name of its module is a valid one (C0103)."""
START_SECONDS = 300.0
"""Longest wall time until the child process is ready: it takes two seconds on an idle machine."""
_CHILD = Path(__file__).with_name("pylint_child.py")


@dataclass(frozen=True, slots=True)
class LintLimits:
    """Limits of linting one file. Most take less than a tenth of a second; importing pandas takes eight."""

    cpu_seconds: int = 60
    wall_factor: float = 20.0  # wall_factor x cpu_seconds is the limit of wall time, however busy the machine is
    memory_mib: int = 2048  # address space

    def __post_init__(self) -> None:
        if self.cpu_seconds < 1 or self.wall_factor < 1 or self.memory_mib < 1:
            raise UsageError(
                f"limits of {self.cpu_seconds} s, factor {self.wall_factor:g}, {self.memory_mib} MiB: each is 1 or more"
            )

    @property
    def wall_seconds(self) -> float:
        return self.cpu_seconds * self.wall_factor


DEFAULT_LIMITS = LintLimits()


@dataclass(frozen=True, slots=True)
class Description:
    """What one of pylint's codes means, in pylint's words."""

    code: str
    symbol: str
    text: str  # the message, with %s where the names of a file stand
    description: str  # why it is reported, in one or several sentences


def require_pylint() -> None:
    if importlib.util.find_spec("pylint") is None:
        raise MissingInput(f"code quality needs the package pylint: {install_extra('quality')}")


def fingerprint() -> Mapping[str, Any]:
    """Return pylint's version and settings, for keys; raise UsageError if it isn't installed."""
    require_pylint()
    python = ".".join(map(str, sys.version_info[:3]))
    return {**versions(("pylint", "astroid")), "python": python, "arguments": list(ARGUMENTS), "file": FILE_NAME}


def describe() -> dict[str, Description]:
    """Return pylint's description of each code; raise UsageError without pylint, RaysweepError if it can't start."""
    require_pylint()
    with tempfile.TemporaryDirectory(prefix="raysweep-pylint-") as home:
        done = subprocess.run(
            [*_command(), "describe"], env=_environment(home), capture_output=True, text=True, timeout=START_SECONDS
        )
    if done.returncode:
        raise _cannot_start(done.stderr)
    return {code: Description(code, *words) for code, words in sorted(json.loads(done.stdout).items())}


def lint(
    files: Sequence[SourceFile],
    limits: LintLimits = DEFAULT_LIMITS,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> LintReports:
    """Return what pylint says of each file, which is what it says of the file alone.

    Files of equal text are linted once. One call starts one process, so calls may run side by side.

    Args:
        files: a batch; starting pylint costs as much as linting fifty files, so batches of hundreds are best.
        limits: of each file.
        report: called after each text with the number of texts that are linted, and with that of all.

    Raises:
        UsageError: pylint isn't installed, or two files have the same id.
        RaysweepError: pylint can't be started.
    """
    require_pylint()
    require_unique(files)
    texts = list(dict.fromkeys(file.text for file in files))
    contents = {file.text: file.content for file in files}
    answers = {}
    for text, answer in zip(texts, _answers([contents[text] for text in texts], limits), strict=True):
        answers[text] = answer
        report(len(answers), len(texts))
    first: set[str] = set()
    reports, messages = list[FileReport](), list[LintMessage]()
    for file in files:
        answer = answers[file.text]
        reports.append(
            replace(
                report_of(file, answer["outcome"]),
                score=answer.get("score"),
                statements=answer.get("statements", 0),
                seconds=0.0 if file.text in first else answer["seconds"],
            )
        )
        messages += [
            LintMessage(file.file_id, code, symbol, line, column, 0 < line <= file.prompt_lines)
            for code, symbol, line, column in answer.get("messages", ())
        ]
        first.add(file.text)
    messages.sort(key=lambda one: (one.file_id, one.line, one.column, one.code))
    return LintReports(tuple(reports), tuple(messages))


def lint_groups(
    groups: Mapping[str, Sequence[SourceFile]], *, report: Callable[[int, int], None]
) -> dict[str, LintReports]:
    """Lint the files of several groups in one process; return the reports of each group by its name.

    A group is what becomes an artefact: the sampled completions of one cell on one problem set. `groups`: files by the
    group's name; ids of files are unique in a group. `report`: called with the number of files that were read, and that
    of all.

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


def require_unique(files: Sequence[SourceFile]) -> None:
    seen: set[str] = set()
    for file in files:
        if file.file_id in seen:
            raise UsageError(f"two files to lint have the id {file.file_id!r}; give each its own")
        seen.add(file.file_id)


def report_of(file: SourceFile, outcome: LintOutcome | str) -> FileReport:
    lines = len(LINE_END.split(file.text)) - file.text.endswith(("\n", "\r")) if file.text else 0
    return FileReport(file.file_id, str(outcome), lines=lines, traps=",".join(file.traps))


def _answers(contents: Sequence[bytes], limits: LintLimits) -> Iterator[Mapping[str, Any]]:
    """Yield the child's answer on each file; a child that dies is started again for the files that are left."""
    done = 0
    while done < len(contents):
        before = done
        with _child(contents[done:], limits) as answers:
            for answer in answers:
                done += 1
                yield answer
        if done == before:  # it died of this file although it had begun anew
            done += 1
            yield {"outcome": LintOutcome.CRASHED, "seconds": 0.0}


@contextmanager
def _child(contents: Sequence[bytes], limits: LintLimits) -> Iterator[Iterator[Mapping[str, Any]]]:
    with tempfile.TemporaryDirectory(prefix="raysweep-pylint-") as folder:
        for number, content in enumerate(contents):
            place = Path(folder, str(number))
            place.mkdir()
            (place / FILE_NAME).write_bytes(content)
        job = {
            "folder": folder,
            "count": len(contents),
            "arguments": list(ARGUMENTS),
            "file_name": FILE_NAME,
            "cpu_seconds": limits.cpu_seconds,
            "wall_seconds": limits.wall_seconds,
            "memory_bytes": limits.memory_mib * 2**20,
        }
        errors = Path(folder, "stderr")
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                _command(),
                env=_environment(folder),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        try:
            yield _read(process, json.dumps(job).encode(), limits, errors)
        finally:
            _end(process)


def _read(
    process: subprocess.Popen[bytes], job: bytes, limits: LintLimits, errors: Path
) -> Iterator[Mapping[str, Any]]:
    assert process.stdin is not None and process.stdout is not None
    with suppress(BrokenPipeError):  # the child's stderr says why
        process.stdin.write(job)
        process.stdin.close()
    lines = _lines(process.stdout.fileno(), START_SECONDS, limits.wall_seconds + START_SECONDS)
    if next(lines, None) is None:
        _end(process)
        raise _cannot_start(errors.read_text(encoding="utf-8", errors="replace"))
    for line in lines:
        yield json.loads(line)


def _lines(stream: int, first_seconds: float, seconds: float) -> Iterator[bytes]:
    """Yield complete lines of a stream until it ends, or none comes within the seconds given for the first and others.

    A fork enforces its own limits; these seconds are for a child process that was stopped.
    """
    rest, deadline = b"", time.monotonic() + first_seconds
    while select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
        if not (part := os.read(stream, 2**16)):
            return
        *complete, rest = (rest + part).split(b"\n")
        if complete:
            yield from complete
            deadline = time.monotonic() + seconds


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:  # until it is waited for, no other process can get its number
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _command() -> list[str]:
    return [sys.executable, "-s", "-P", str(_CHILD)]  # neither the user's packages nor the script's folder


def _environment(home: str) -> dict[str, str]:
    """Return the child's environment: nothing of the user's that pylint or Python would heed."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, "HOME": home, "PYLINTHOME": home, "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}


def _cannot_start(errors: str) -> RaysweepError:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    reason = lines[-1] if lines else "it said nothing"
    return RaysweepError(f"pylint can't be started ({reason}); try: {sys.executable} -m pylint --version")
