"""Whether this machine can judge problems in Java or C++: their compiler, and the headers that they include."""

from __future__ import annotations

from collections.abc import Iterable

from raysweep.errors import MissingInput
from raysweep.execution.compiled.java.junit import check_junit, is_junit
from raysweep.execution.compiled.toolchains import missing_headers, toolchain
from raysweep.programs import COMPILED, CPP
from raysweep.records import Problem

_NAMED = 5  # problems in a message


def check_toolchain(language: str, problems: Iterable[Problem], cpp_flags: str) -> None:
    """Raise an error if programs on these problems can't be compiled here; Python's can, and without tests none is.

    `problems`: those whose programs will be judged.

    Raises:
        MissingInput: no compiler (the package is named), one that is too old, no JUnit where tests are JUnit's, or
            headers that problems include are missing (the problems are named).
        UsageError: g++ doesn't know the standard of C++.
    """
    problems = list(problems)
    if language not in COMPILED or not any(problem.test.strip() for problem in problems):
        return
    toolchain(language, cpp_flags)
    if any(is_junit(problem.test) for problem in problems):
        check_junit()
    missing = missing_headers() if language == CPP else {}
    lacking = {}
    for problem in problems:
        if names := [name for name in missing if name in f"{problem.prompt}{problem.reference or ''}{problem.test}"]:
            lacking[problem.task_id] = names
    if lacking:
        tasks = list(lacking)
        more = f" and {len(tasks) - _NAMED:,} more" if len(tasks) > _NAMED else ""
        verb = "includes" if len(tasks) == 1 else "include"
        headers = sorted({name for names in lacking.values() for name in names})
        packages = sorted({missing[name] for name in headers})
        raise MissingInput(
            f"{', '.join(tasks[:_NAMED])}{more} {verb} {', '.join(headers)}, which this machine lacks; install "
            f"{' and '.join(packages)} (Debian, Ubuntu), or leave these problems out"
        )
