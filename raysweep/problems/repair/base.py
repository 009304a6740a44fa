"""What problem sets for repair share: what models are shown, and problems made of two versions of a file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from raysweep.errors import UsageError, did_you_mean
from raysweep.execution.compiled.java.junit import is_junit
from raysweep.problems.base import ProblemSet
from raysweep.problems.file_problems import FileSet, full_path
from raysweep.programs import JAVA, PYTHON
from raysweep.prompts.repair.code import blanked_comments, method_around, methods_of, without_comments
from raysweep.prompts.repair.hunks import Fault, Hunk, comment_mark, dedented, fault_between, lines_of, marked
from raysweep.prompts.repair.natural import protected_marked, split_marked
from raysweep.prompts.repair.problems import RepairProblem
from raysweep.records import Problem, Segment
from raysweep.rows.json_files import read_content

VERSION = 1
"""Raise it when an equal file gives other hunks, prompts or references."""
FUNCTION, FILE = "function", "file"
CONTEXTS = (FUNCTION, FILE)
"""What a model is shown: the function with the hunk, without comments, as in clm's prompts; or the file as it is, whose
comments and docstrings perturbations change."""
_CLASS = re.compile(r"^(?:public\s+)?(?:(?:final|abstract)\s+)*class\s", re.MULTILINE)


class MarkedSet(ProblemSet):
    """A problem set whose prompts are code with a marked hunk.

    Raises:
        UsageError: the context is none of `CONTEXTS`.
    """

    repair: ClassVar[bool] = True

    def __init__(self, context: str) -> None:
        if context not in CONTEXTS:
            near = did_you_mean(context, CONTEXTS)
            raise UsageError(f"problem set {self.name}: context {context!r}{near} is none of {', '.join(CONTEXTS)}")
        self.context = context

    @override
    def segments(self, problem: Problem) -> list[Segment]:
        """The text of comments and docstrings is natural; marks, hunk and code are verbatim."""
        return split_marked(problem.prompt, problem.language, problem.entry_point)

    @override
    def protected(self, problem: Problem) -> frozenset[str]:
        """The names of the code."""
        return protected_marked(problem.prompt, problem.language)


class RepairSet(MarkedSet, FileSet):
    """A problem set whose problems are files with a faulty hunk.

    Args:
        path: the file with the problems.
        context: what models are shown, one of `CONTEXTS`.

    Raises:
        UsageError: another context, or a file that doesn't exist.
    """

    path: Path

    def __init__(self, path: str, context: str = FUNCTION) -> None:
        MarkedSet.__init__(self, context)
        FileSet.__init__(self, full_path(path))

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        return {"repair": VERSION, **super().fingerprint(), "context": self.context}

    @override
    def check(self, *, judged: bool = False) -> None:
        self.problems()


def positions_in(path: Path, form: re.Pattern[str], means: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield the place of each line that isn't blank, and what it matches; raise UsageError for one that doesn't."""
    for number, line in enumerate(read_content(path).decode("utf-8", "replace").splitlines(), 1):
        found = form.fullmatch(line.strip())
        if found is not None:
            yield f"{path}:{number}", found
        elif line.strip():
            raise UsageError(f"{path}:{number}: a position {means}, not {line:.60}")


def repair_problem(
    task_id: str, file: str, fault: Fault, *, language: str, test: str, context: str, entry_point: str
) -> RepairProblem:
    """Return the problem of a fault in a file.

    Models are shown a method, a function in C++, or code in Python without its docstring; or the file. Of a faulty file
    in Java or C++ JUnit's tests outside the program's process are told all, other ones what stands up to the brace that
    opens the function with the hunk.

    Args:
        task_id: its id.
        file: the faulty file.
        fault: in the whole file.
        language: of the file.
        test: what runs behind the file; empty: nothing.
        context: what models are shown, one of `CONTEXTS`.
        entry_point: the function with the fault.
    """
    hunk = fault.hunk
    start, end, declaration, method = 0, len(file), "", None
    if language != PYTHON and (context == FUNCTION or (test and not is_junit(test))):
        method = method_around(file, len(hunk.before), len(file) - len(hunk.after), language)
    if context == FUNCTION and language == PYTHON:
        end = max(len(without_last_docstring(file)), len(hunk.before) + len(hunk.buggy))
    elif context == FUNCTION and method:
        start, end = method.begin, method.end
    if language != PYTHON and test:
        declaration = file if is_junit(test) else file[: method.opens + 1] if method else ""
    inner = Hunk(hunk.before[start:], hunk.buggy, hunk.after[: end - len(file) or None])
    parts = [inner.before, inner.buggy, inner.after]
    if context == FUNCTION:
        parts = dedented([without_comments(part, language) for part in parts])
    return RepairProblem(
        task_id=task_id,
        prompt=marked(Hunk(*parts), comment_mark(language)),
        entry_point=entry_point,
        test=test,
        reference=fault.fixed,
        language=language,
        hunk=inner,
        file_before=file[:start],
        file_after=file[end:],
        declaration=declaration,
    )


def fault_in_class(buggy: str, correct: str, place: str, at_least: tuple[int, int] | None = None) -> Fault:
    """Return the fault of two versions of a Java file whose packages and imports may differ; see `fault_between`.

    Where the versions differ in one method, beside methods that only one of them has, the hunk lies in that method.
    Where the mended version only adds lines, the hunk is the line behind them, as in clm.
    """
    ours, theirs = _CLASS.search(buggy), _CLASS.search(correct)
    if ours is None or theirs is None:
        raise UsageError(f"{place}: the file in Java holds no class")
    correct = buggy[: ours.start()] + correct[theirs.start() :]
    fault = fault_between(buggy, correct, JAVA, at_least=at_least, place=place)
    if not _is_in_a_method(fault.hunk):
        common = _with_methods_of(buggy, correct)
        if _bare(common) != _bare(buggy):
            nearer = fault_between(buggy, common, JAVA, at_least=at_least, place=place)
            fault, correct = (nearer, common) if _is_in_a_method(nearer.hunk) else (fault, correct)
    if not fault.hunk.buggy:
        line = len(lines_of(fault.hunk.before)) + 1
        fault = fault_between(buggy, correct, JAVA, at_least=(line, line + 1), place=place)
    return fault


def _is_in_a_method(hunk: Hunk) -> bool:
    return method_around(hunk.code, len(hunk.before), len(hunk.before) + len(hunk.buggy), JAVA) is not None


def _bare(code: str) -> str:
    return "".join(blanked_comments(code, JAVA).split())


def _with_methods_of(buggy: str, correct: str) -> str:
    """Return the faulty version of a Java file with those methods of the mended one that both have by heading."""
    mended = {"".join(correct[one.begin : one.opens].split()): one for one in methods_of(correct, JAVA)}
    parts, end = [], len(buggy)
    for one in sorted(methods_of(buggy, JAVA), key=lambda one: one.end, reverse=True):
        other = mended.get("".join(buggy[one.begin : one.opens].split()))
        if other is not None and one.end <= end:
            parts += [buggy[one.end : end], correct[other.begin : other.end]]
            end = one.begin
    return "".join([buggy[:end], *reversed(parts)])


def without_last_docstring(code: str) -> str:
    """Return Python code up to a text that stands behind all statements, as QuixBugs' files have one.

    Code that can't be parsed is returned as it is: that may be its fault.
    """
    try:
        statements = ast.parse(code).body
    except (SyntaxError, ValueError):
        return code
    last = statements[-1] if statements else None
    if len(statements) < 2 or not isinstance(last, ast.Expr) or not isinstance(last.value, ast.Constant):
        return code
    lines = lines_of(code)[: last.lineno - 1]
    while not lines[-1].strip():
        lines.pop()
    return "".join(lines)
