"""Whether this machine can judge problems: their compiler and the headers that they include, or their environment."""

from __future__ import annotations

from collections.abc import Iterable

from raysweep.errors import MissingInput, UsageError
from raysweep.execution.compiled.java.junit import check_junit, is_junit
from raysweep.execution.compiled.toolchains import missing_headers
from raysweep.execution.runtimes import identity
from raysweep.programs import CPP, PYTHON, Sandbox
from raysweep.records import Problem

_NAMED = 5  # problems in a message


def check_runtime(runtime: str, problems: Iterable[Problem], sandbox: Sandbox) -> None:
    """Raise an error if programs on these problems can't be run here; without tests none is.

    `problems`: those whose programs will be judged.

    Raises:
        MissingInput: no compiler (the package is named), one that is too old, no JUnit where tests are JUnit's, or
            headers that problems include are missing (the problems are named); no Python of an environment.
        UsageError: g++ doesn't know the standard of C++; unittest cases need an environment, and none is named; nothing
            gives its Python, or it is too old.
    """
    problems = list(problems)
    if runtime == PYTHON and problems and problems[0].assemble("").cases:
        raise UsageError(
            "its programs import many packages, in versions of their own; name the Python of the environment that has "
            "them: `--environment PATH`, or in a config `execution: {environments: {NAME: PATH}}` and the set's "
            "`environment: NAME` (docs/problem-sets.md says how to make one)"
        )
    if runtime == PYTHON or not any(problem.test.strip() for problem in problems):
        return
    identity(runtime, sandbox.setting_of(runtime))
    if any(is_junit(problem.test) for problem in problems):
        check_junit()
    missing = missing_headers() if runtime == CPP else {}
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
