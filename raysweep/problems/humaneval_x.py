"""Problem set `humaneval-x`: HumanEval in Java, C++ or Python (164 each), as CodeGeeX published it (Zheng et al. 2023).

Programs in Java and C++ are judged where a machine has the language's compiler and, in C++, the headers of boost and
OpenSSL that three problems include (raysweep/execution/compiled/toolchains.py). What continues a prompt in Python may
use the modules and names that CodeGeeX's evaluation imports before it.
Source: https://github.com/THUDM/CodeGeeX, codegeex/benchmark/humaneval-x.
"""

from __future__ import annotations

import collections
import dataclasses
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from raysweep.errors import UsageError, did_you_mean
from raysweep.problems.base import PROBLEMS
from raysweep.problems.file_problems import (
    STOP,
    FileProblem,
    FileSet,
    ScriptedProblem,
    full_path,
    language_name,
    language_of,
    reference_of,
    with_helpers,
    with_names,
)
from raysweep.programs import CPP, JAVA, LANGUAGE_WORDS, PYTHON, Program
from raysweep.prompts.comments import entry_point_of, split_comment_prompt
from raysweep.records import Problem, Segment
from raysweep.rows.json_files import JsonRow, stream_json_rows

LANGUAGES: Mapping[str, tuple[str, ...]] = {
    JAVA: ("\npublic class", "\nclass", "\nimport", "\n/*", "\n//"),
    CPP: ("\nint main", "\n#include", "\nusing namespace", "\n/*", "\n//"),
    PYTHON: STOP,
}
"""Stop strings. In Java and C++ they are the beginnings of what follows the function: completions keep their closing
braces, and no reference solution is cut. There is no published list."""
_IMPORTED = "math re sys copy datetime itertools collections heapq statistics functools hashlib numpy string"
"""Modules that CodeGeeX imports before a program in Python, beside all names of `typing` and `collections`, and `np`.

Source: https://github.com/THUDM/CodeGeeX, codegeex/benchmark/utils.py, IMPORT_HELPER.
"""
_CALL = re.compile(r"^check\((\w+)\)\s*\Z", re.MULTILINE)
_PUBLISHED_IN = {**LANGUAGE_WORDS, "go": "Go", "js": "JavaScript", "javascript": "JavaScript", "rust": "Rust"}
"""The languages of HumanEval-X, by what task ids begin with."""


@dataclass(frozen=True, slots=True)
class CompiledProblem(ScriptedProblem):
    """A problem in Java or C++. `declaration`: the prompt, whose comment may be left out."""

    declaration: str = ""

    @override
    def assemble(self, completion: str) -> Program:
        program = ScriptedProblem.assemble(self, completion)
        return dataclasses.replace(program, declaration=self.declaration)


@dataclass(frozen=True, slots=True)
class PythonProblem(FileProblem):
    """A problem in Python."""

    @override
    def assemble(self, completion: str) -> Program:
        program = FileProblem.assemble(self, completion)
        return dataclasses.replace(program, text="".join(_imports(completion)) + program.text)


@PROBLEMS.register("humaneval-x")
class HumanEvalX(FileSet):
    """HumanEval in Java, C++ or Python.

    Args:
        path: humaneval_java.jsonl.gz, humaneval_cpp.jsonl.gz or humaneval_python.jsonl.gz.
        language: java, cpp or python; None: found from the task ids, such as ``Java/0``.

    Raises:
        UsageError: another language, or a file that doesn't exist. Rows of another language are refused when the file
            is read.
    """

    licence = "Apache-2.0"
    origin = "https://github.com/THUDM/CodeGeeX"

    def __init__(self, path: str, language: str | None = None) -> None:
        if language is not None and language not in LANGUAGES:
            near = did_you_mean(language, LANGUAGES)
            raise UsageError(f"problem set humaneval-x: language {language!r}{near} is none of {', '.join(LANGUAGES)}")
        file = full_path(path)
        super().__init__(file)
        self.language = language or language_of_task(next(stream_json_rows(file)).fields.get("task_id"))
        if self.language not in LANGUAGES:
            raise UsageError(
                f"{file}: its first `task_id` begins with none of Java/, CPP/ and Python/, so `language` must be "
                f"given: {' or '.join(LANGUAGES)}"
            )

    @override
    def problem(self, row: JsonRow) -> Problem:
        named = language_of(row) if "language" in row.fields else language_of_task(row.fields.get("task_id"))
        if named != self.language and named in _PUBLISHED_IN:
            raise UsageError(
                f"{row.place}: {row.fields.get('task_id')!r} is a problem in {_PUBLISHED_IN[named]}, and this set's "
                f"language is {LANGUAGE_WORDS[self.language]}: give each language a file of its own, and name the "
                f"right `language` where a config names one ({' or '.join(LANGUAGES)})"
            )
        return _python_problem(row) if self.language == PYTHON else compiled_problem(row, self.language)

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        return {"language": self.language, **super().fingerprint()}

    @classmethod
    @override
    def recognises(cls, row: Mapping[str, Any]) -> bool:
        """A published row's task id names the language, which no field does."""
        return language_of_task(row.get("task_id")) in LANGUAGES and "declaration" in row and "language" not in row

    @override
    def segments(self, problem: Problem) -> list[Segment]:
        """In Java and C++ the text of the comment that describes the task is natural, all else is verbatim."""
        if self.language == PYTHON:
            return super().segments(problem)
        return split_comment_prompt(problem.prompt, problem.entry_point)


def compiled_problem(row: JsonRow, language: str) -> CompiledProblem:
    """Return the problem in a user's row: task_id, prompt, canonical_solution, and test, declaration if it has them.

    Raises:
        UsageError: a field is missing or wrong, or the prompt opens no function; with the row's place.
    """
    prompt = row.text("prompt")
    entry_point = entry_point_of(prompt)
    if not entry_point:
        raise UsageError(f"{row.place}: `prompt` opens no function in {language}; is `language` right?")
    return CompiledProblem(
        task_id=row.label("task_id"),
        prompt=prompt,
        entry_point=entry_point,
        test=row.text("test", ""),
        reference=reference_of(row),
        language=language,
        stop=LANGUAGES[language],
        fields=row.fields,
        declaration=row.text("declaration", "") or prompt,
    )


def _python_problem(row: JsonRow) -> PythonProblem:
    """Return the problem in a published row in Python, whose tests end with the call of ``check``."""
    prompt, test = row.text("prompt"), row.text("test", "")
    call = _CALL.search(test)
    if call is None:
        raise UsageError(
            f"{row.place}: `test` must end with a line check(NAME), which names the function to write; write it so, "
            "or name the function as `entry_point` and read the file by `name: jsonl`"
        )
    return PythonProblem(
        task_id=row.label("task_id"),
        prompt=prompt,
        entry_point=call[1],
        test=with_names(prompt, call[1], with_helpers(prompt, call[1], test[: call.start()].rstrip())),
        reference=reference_of(row),
        stop=STOP,
        fields=row.fields,
    )


def _imports(code: str) -> list[str]:
    """Return those imports of CodeGeeX's that code may use."""
    words = set(re.findall(r"\w+", code))
    lines = [f"import {name}\n" for name in _IMPORTED.split() if name in words]
    lines += ["import numpy as np\n"] if "np" in words else []
    for module in (typing, collections):  # in this order: some names of theirs are equal
        lines += [f"from {module.__name__} import {name}\n" for name in sorted(words.intersection(module.__all__))]
    return lines


def language_of_task(task_id: object) -> str:
    """Return the language of a task id such as ``Java/0``: what stands before the slash, if there is one."""
    name, slash, _ = str(task_id).partition("/")
    return language_name(name) if slash else ""
