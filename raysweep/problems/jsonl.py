"""Problem set `jsonl`: problems in HumanEval's or MultiPL-E's shape from a user's file, one JSON object a line.

Fields: task_id, prompt, entry_point, canonical_solution and, for judging, test; with `language` java or cpp also
declaration, the prompt without its comment, and no entry_point; or MultiPL-E's: name, prompt, tests,
stop_tokens (https://github.com/nuprl/MultiPL-E, prompts in Python). `raysweep perturb` writes all further fields of a
row back. One JSON array instead of lines works too, and so do gzipped files (``.gz``).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.problems.file_problems import (
    STOP,
    FileProblem,
    check_tests,
    language_of,
    multipl_e_problem,
    problems_of,
    row_language,
    with_helpers,
    with_names,
)
from raysweep.problems.humaneval_x import compiled_problem
from raysweep.programs import COMPILED, PYTHON
from raysweep.prompts.comments import split_comment_prompt
from raysweep.records import Problem, Segment
from raysweep.rows.json_files import JsonRow, check_file, content_sha, read_json_rows, stream_json_rows


@PROBLEMS.register("jsonl")
class JsonlProblems(ProblemSet):
    """The problems of a file.

    Args:
        path: the file, relative to the working folder or absolute.

    Raises:
        UsageError: the file doesn't exist.
    """

    _is_mixed = False

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser()
        check_file(self._path)
        self.language = _first_language(self._path)

    @override
    def problems(self) -> Sequence[Problem]:
        return read_problems(self._path, mixed=self._is_mixed)

    @override
    def mixed(self) -> JsonlProblems:
        one = copy.copy(self)
        one._is_mixed = True
        return one

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        return {"sha256": content_sha(self._path)}

    @override
    def check(self, *, judged: bool = False) -> None:
        problems = self.problems()
        if judged:
            check_tests(problems, str(self._path))

    @override
    def segments(self, problem: Problem) -> list[Segment]:
        if problem.language in COMPILED:
            return split_comment_prompt(problem.prompt, problem.entry_point)
        return super().segments(problem)


def read_problems(path: Path, *, mixed: bool = False) -> list[Problem]:
    """Read problems; raise UsageError (file, line) for an unusable row. `mixed`: rows in several languages."""
    language = None if mixed else _first_language(path)
    return problems_of(read_json_rows(path), lambda row: _problem(row, language))


def _first_language(path: Path) -> str:
    with suppress(UsageError):
        for row in stream_json_rows(path):
            return PYTHON if _is_multipl_e(row) else language_of(row)
    return PYTHON


def _is_multipl_e(row: JsonRow) -> bool:
    return "task_id" not in row.fields and {"name", "tests"} <= row.fields.keys()


def _problem(row: JsonRow, expected: str | None) -> Problem:
    if _is_multipl_e(row):
        return multipl_e_problem(row, STOP)
    language = row_language(row, str(row.fields.get("test") or ""), expected)
    return compiled_problem(row, language) if language in COMPILED else humaneval_problem(row)


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
