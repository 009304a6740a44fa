"""Problem set `jsonl`: problems in HumanEval's or MultiPL-E's shape from a user's file, one JSON object a line.

Fields: task_id, prompt, entry_point, canonical_solution and, for judging, test; or MultiPL-E's: name, prompt, tests,
stop_tokens (https://github.com/nuprl/MultiPL-E, prompts in Python). `raysweep perturb` writes all further fields of a
row back. One JSON array instead of lines works too, and so do gzipped files (``.gz``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.problems.file_problems import (
    STOP,
    FileProblem,
    check_tests,
    multipl_e_problem,
    problems_of,
    with_helpers,
    with_names,
)
from raysweep.records import Problem
from raysweep.rows.json_files import JsonRow, check_file, content_sha, read_json_rows


@PROBLEMS.register("jsonl")
class JsonlProblems(ProblemSet):
    """The problems of a file.

    Args:
        path: the file, relative to the working folder or absolute.

    Raises:
        UsageError: the file doesn't exist.
    """

    stops = 2

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser()
        check_file(self._path)

    def problems(self) -> Sequence[Problem]:
        """Return the problems in the file's order; raise UsageError (file, line) for an unusable row."""
        return read_problems(self._path)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the SHA-256 of the unzipped file."""
        return {"sha256": content_sha(self._path)}

    def check(self, *, judged: bool = False) -> None:
        """Read the whole file; raise UsageError (file, line, what is wrong) for the first unusable row."""
        problems = read_problems(self._path)
        if judged:
            check_tests(problems, str(self._path))


def read_problems(path: Path) -> list[Problem]:
    """Read the problems of a file; raise UsageError (file, line) for an unusable row."""
    return problems_of(read_json_rows(path), _problem)


def _problem(row: JsonRow) -> Problem:
    if "task_id" not in row.fields and {"name", "tests"} <= row.fields.keys():
        return multipl_e_problem(row, STOP)
    return humaneval_problem(row)


def humaneval_problem(row: JsonRow) -> Problem:
    """Return the problem in a HumanEval-shaped row; raise UsageError (file, line) for a missing or wrong field."""
    prompt, entry_point, reference = row.text("prompt"), row.text("entry_point"), row.text("canonical_solution")
    test = with_helpers(prompt, entry_point, row.text("test", ""))
    return FileProblem(
        task_id=row.label("task_id"),
        prompt=prompt,
        entry_point=entry_point,
        test=with_names(prompt + reference, entry_point, test),
        reference=reference,
        stop=STOP,
        fields=row.fields,
    )
