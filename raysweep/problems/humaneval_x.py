"""Problem set `humaneval-x`: HumanEval in Java or C++ (164 each), as CodeGeeX published it (Zheng et al. 2023).

Prompts can be perturbed and completed. raysweep can't run Java and C++ yet, so `check` refuses to judge this set.
Source: https://github.com/THUDM/CodeGeeX, codegeex/benchmark/humaneval-x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError, did_you_mean
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.problems.file_problems import ScriptedProblem, problems_of
from raysweep.prompts.comments import entry_point_of, split_comment_prompt
from raysweep.records import Problem, Segment
from raysweep.rows.json_files import JsonRow, check_file, content_sha, read_json_rows

LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "java": ("\npublic class", "\nclass", "\nimport", "\n/*", "\n//"),
    "cpp": ("\nint main", "\n#include", "\nusing namespace", "\n/*", "\n//"),
}
"""Stop strings: the beginnings of what follows the function. Completions keep their closing braces, and no reference
solution is cut. There is no published list."""


@dataclass(frozen=True, slots=True)
class HumanEvalXProblem(ScriptedProblem):
    """A problem in Java or C++. `declaration`: the prompt without its comment."""

    declaration: str = ""


@PROBLEMS.register("humaneval-x")
class HumanEvalX(ProblemSet):
    """HumanEval in Java or C++: prompts to perturb and complete, without judging.

    Args:
        language: java or cpp.
        path: humaneval_java.jsonl.gz or humaneval_cpp.jsonl.gz.

    Raises:
        UsageError: another language, or a file that doesn't exist.
    """

    licence = "Apache-2.0"
    origin = "https://github.com/THUDM/CodeGeeX"

    def __init__(self, language: str, path: str) -> None:
        if language not in LANGUAGES:
            near = did_you_mean(language, LANGUAGES)
            raise UsageError(f"problem set humaneval-x: language {language!r}{near} is none of {', '.join(LANGUAGES)}")
        self._language = language
        self._path = Path(path).expanduser().absolute()
        check_file(self._path)

    def problems(self) -> Sequence[Problem]:
        """Return the problems in their published order; raise UsageError (file, line) for an unusable row."""
        return problems_of(read_json_rows(self._path), self._problem)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the language and the SHA-256 of the unzipped file."""
        return {"language": self._language, "sha256": content_sha(self._path)}

    def check(self, *, judged: bool = False) -> None:
        """Read the whole file; raise UsageError (file, line) for an unusable row, and always when `judged`."""
        self.problems()
        if judged:
            raise UsageError(
                f"problem set humaneval-x: programs in {self._language} can't be run yet, so completions can't be "
                "judged; `raysweep perturb` and test sets (`raysweep sets`) work, and humaneval has the same problems "
                "in Python"
            )

    def segments(self, problem: Problem) -> list[Segment]:
        """Split a prompt: the text of the comment that describes the task is natural, all else is verbatim."""
        return split_comment_prompt(problem.prompt, problem.entry_point)

    def _problem(self, row: JsonRow) -> Problem:
        prompt = row.text("prompt")
        entry_point = entry_point_of(prompt)
        if not entry_point:
            raise UsageError(f"{row.place}: `prompt` opens no function in {self._language}; is `language` right?")
        return HumanEvalXProblem(
            task_id=row.text("task_id"),
            prompt=prompt,
            entry_point=entry_point,
            test=row.text("test"),
            reference=row.text("canonical_solution"),
            language=self._language,
            stop=LANGUAGES[self._language],
            fields=row.fields,
            declaration=row.text("declaration"),
        )
