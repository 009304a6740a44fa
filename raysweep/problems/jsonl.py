"""Problem set `jsonl`: HumanEval-shaped problems from a file of the user's, one JSON object a line.

Fields: task_id, prompt, entry_point, canonical_solution and, where programs are to be judged, test. What else a row
holds is kept, so that `raysweep perturb` gives the same rows back. Gzip and one JSON array are read too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError
from raysweep.jsonrows import JsonRow, check_file, content_sha, read_json_rows
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.records import Problem

STOP = ("\ndef", "\n#", "\nif", "\nclass", "\n def", "\n\n\n")
"""Strings that end a Python completion: SafeCoder's, then the paper's two (study.md section 6)."""


@dataclass(frozen=True, slots=True)
class FileProblem(Problem):
    """A problem that remembers the row of the file it came from."""

    fields: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)


@PROBLEMS.register("jsonl")
class JsonlProblems(ProblemSet):
    """The problems of a file.

    Args:
        path: the file, relative to the working folder or absolute.

    Raises:
        UsageError: when the file doesn't exist.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser()
        check_file(self._path)

    def problems(self) -> Sequence[Problem]:
        """Return the problems in the file's order; raise UsageError (file, line) for rows that can't be used."""
        return read_problems(self._path)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return {sha256 of the unzipped file}."""
        return {"sha256": content_sha(self._path)}

    def check(self, *, judged: bool = False) -> None:
        """Read the whole file; raise UsageError (file, line, what is wrong) at the first row that can't be used."""
        problems = read_problems(self._path)
        if judged:
            check_tests(problems, str(self._path))


def humaneval_problem(row: JsonRow) -> Problem:
    """Return the problem that a HumanEval-shaped row describes; raise UsageError (file, line) for a field."""
    return FileProblem(
        task_id=row.text("task_id"),
        prompt=row.text("prompt"),
        entry_point=row.text("entry_point"),
        test=row.text("test", ""),
        reference=row.text("canonical_solution"),
        stop=STOP,
        fields=row.fields,
    )


def read_problems(path: Path) -> list[Problem]:
    """Read HumanEval-shaped problems; raise UsageError naming file and line for rows that can't be used."""
    return problems_of(read_json_rows(path), humaneval_problem)


def problems_of(rows: Iterable[JsonRow], make: Callable[[JsonRow], Problem]) -> list[Problem]:
    """Return the problem of each row; raise UsageError (file, line) for one that can't be used or comes again."""
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for row in rows:
        problem = make(row)
        if problem.task_id in seen:
            first = seen[problem.task_id]
            raise UsageError(f"{row.place}: task_id {problem.task_id!r} is already at {first}; task ids must differ")
        seen[problem.task_id] = row.place
        problems.append(problem)
    return problems


def check_tests(problems: Iterable[Problem], place: str) -> None:
    """Raise UsageError (place, task) for the first problem without tests, or with tests that don't compile."""
    for problem in problems:
        if not problem.test.strip():
            raise UsageError(f"{place}: problem {problem.task_id!r} has no `test`, so nothing can judge it")
        if broken := _broken_tests(problem):
            raise UsageError(f"{place}: the `test` of problem {problem.task_id!r} can't judge: {broken}")


def _broken_tests(problem: Problem) -> str:
    """Say why a problem's tests, or their call, don't compile; empty when they do. Nothing is run."""
    tests = problem.assemble("").tests
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SyntaxWarning: an invalid escape sequence compiles all the same
            compile(tests, "<test>", "exec", dont_inherit=True)
    except SyntaxError as error:
        if (error.lineno or 0) > len(problem.test.split("\n")):
            return f"check({problem.entry_point}) is no call; correct `entry_point`"
        return f"{error.msg} in its line {error.lineno}; correct it"
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        return f"it does not compile ({error}); correct it"
    return ""


def problem_fields(problem: Problem) -> dict[str, Any]:
    """Return a problem as a row of a problem file: the row it came from, or HumanEval's fields for any other."""
    if isinstance(problem, FileProblem):
        return dict(problem.fields)
    fields = {"task_id": problem.task_id, "prompt": problem.prompt, "entry_point": problem.entry_point}
    if problem.reference is not None:
        fields["canonical_solution"] = problem.reference
    return fields | {"test": problem.test}
