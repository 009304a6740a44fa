"""Problem set `jsonl`: problems in HumanEval's or MultiPL-E's shape from a user's file, one JSON object a line.

Fields: task_id, prompt, entry_point, canonical_solution and, for judging, test; with `language` java or cpp also
declaration, the prompt without its comment, and no entry_point; or MultiPL-E's: name, prompt, tests,
stop_tokens (https://github.com/nuprl/MultiPL-E, prompts in Python). `raysweep perturb` writes all further fields of a
row back. One JSON array instead of lines works too, and so do gzipped files (``.gz``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.problems.base import PROBLEMS
from raysweep.problems.file_problems import (
    STOP,
    FileProblem,
    FileSet,
    first_language,
    language_of,
    multipl_e_problem,
    problems_of,
    reference_of,
    row_language,
    with_helpers,
    with_names,
)
from raysweep.problems.humaneval_x import compiled_problem
from raysweep.programs import COMPILED, PYTHON
from raysweep.prompts.comments import split_comment_prompt
from raysweep.prompts.regions import find_docstring
from raysweep.records import Problem, Segment
from raysweep.rows.json_files import JsonRow, read_json_rows


@PROBLEMS.register("jsonl")
class JsonlProblems(FileSet):
    """The problems of a file.

    Args:
        path: the file, relative to the working folder or absolute.
        environment: name of the Python environment that runs the programs; None: raysweep's own.

    Raises:
        UsageError: the file doesn't exist, or an environment is named for programs in Java or C++.
    """

    words = 2

    def __init__(self, path: str, environment: str | None = None) -> None:
        super().__init__(Path(path).expanduser())
        self.language = _language_of_file(Path(path).expanduser())
        self.environment = environment or ""
        if environment and self.language in COMPILED:
            raise UsageError(f"{path}: programs in {self.language} have a compiler; leave `environment` out")

    @override
    def problem(self, row: JsonRow) -> Problem:
        return _problem(row, None if self.is_mixed else self.language)

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        """Docstrings in single quotes have a part of it, since models were once shown such prompts in another form."""
        prompts = ((problem.prompt, problem.entry_point) for problem in self.problems() if problem.language == PYTHON)
        has_single = any((docstring := find_docstring(*prompt)) and len(docstring[1]) == 1 for prompt in prompts)
        return {**super().fingerprint(), **({"docstrings": 2} if has_single else {})}

    @override
    def segments(self, problem: Problem) -> list[Segment]:
        if problem.language in COMPILED:
            return split_comment_prompt(problem.prompt, problem.entry_point)
        return super().segments(problem)


def read_problems(path: Path) -> list[Problem]:
    """Read problems in one language; raise UsageError (file, line) for an unusable row."""
    language = _language_of_file(path)
    return problems_of(read_json_rows(path), lambda row: _problem(row, language))


def _language_of_file(path: Path) -> str:
    return first_language(path, lambda row: PYTHON if _is_multipl_e(row) else language_of(row))


def _is_multipl_e(row: JsonRow) -> bool:
    has = row.fields.keys()
    is_copy = "stop_tokens" in has and "canonical_solution" not in has  # DeepSeek-Coder's have task ids too
    return {"name", "tests"} <= has and ("task_id" not in has or is_copy)


def _problem(row: JsonRow, expected: str | None) -> Problem:
    if _is_multipl_e(row):
        return multipl_e_problem(row, STOP)
    language = row_language(row, str(row.fields.get("test") or ""), expected)
    return compiled_problem(row, language) if language in COMPILED else humaneval_problem(row)


def humaneval_problem(row: JsonRow) -> Problem:
    """Return the problem in a HumanEval-shaped row; raise UsageError (file, line) for a missing or wrong field."""
    prompt, entry_point, reference = row.text("prompt"), row.text("entry_point"), reference_of(row)
    test = with_helpers(prompt, entry_point, row.text("test", ""))
    return FileProblem(
        task_id=row.label("task_id"),
        prompt=prompt,
        entry_point=entry_point,
        test=with_names(prompt + (reference or ""), entry_point, test),
        reference=reference,
        stop=STOP,
        fields=row.fields,
    )
