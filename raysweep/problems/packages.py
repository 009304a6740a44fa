"""Finds the problems whose own code imports packages that their environment lacks.

No program on them is run: it would fail whatever a model wrote. They have no verdict, and are counted.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from raysweep.execution.environments import environment_at, missing_modules
from raysweep.execution.python.source_names import needed_modules
from raysweep.execution.runtimes import identity
from raysweep.problems.base import ProblemSet
from raysweep.programs import Sandbox
from raysweep.records import Problem
from raysweep.units import count, first_of


@dataclass(frozen=True)
class EnvironmentFacts:
    """The environment of a problem set, and what its problems need that it lacks.

    `problem_set`: its name in results. `packages` and `problems`: how many. `lacking`: modules by task id.
    """

    problem_set: str
    environment: str
    python: str
    version: str
    packages: int
    problems: int
    lacking: Mapping[str, tuple[str, ...]]
    requirements: str = ""
    """A file for pip with the packages that the set's programs may import; empty: there is none."""

    @property
    def tasks(self) -> dict[str, list[str]]:
        """The problems that each module costs, by what costs most."""
        tasks: dict[str, list[str]] = {}
        for task_id, names in self.lacking.items():
            for name in names:
                tasks.setdefault(name, []).append(task_id)
        return dict(sorted(tasks.items(), key=lambda item: (-len(item[1]), item[0])))

    @property
    def advice(self) -> str:
        if self.requirements:
            return f"install what the problems need: {self.python} -m pip install -r {self.requirements}"
        return "install the packages that have these modules in it"

    @property
    def words(self) -> str:
        python = f"Python {self.version} with {count(self.packages, 'package')}"
        modules = ", ".join(f"{name} ({first_of(tasks, 'problem')})" for name, tasks in self.tasks.items())
        cost = f"problems left out: {len(self.lacking):,} of {self.problems:,}; modules that they lack"
        return f"environment {self.environment!r} ({self.python}), {python}; {cost}: {modules or 'none'}"


def environment_facts(
    label: str, problem_set: ProblemSet, sandbox: Sandbox, limit: int | None = None
) -> EnvironmentFacts:
    """Return what a problem set in an environment finds there. `label`: its name. `limit`: only its first problems.

    Raises:
        MissingInput: there is no such Python.
        UsageError: it can't run programs.
    """
    name, problems = problem_set.environment, problem_set.problems()[:limit]
    there = environment_at(sandbox.setting_of(name))
    lacking = lacking_modules(problems, sandbox)
    found = label, name, there.python, there.version, len(there.packages), len(problems), lacking
    return EnvironmentFacts(*found, str(problem_set.requirements or ""))


def lacking_modules(problems: Iterable[Problem], sandbox: Sandbox) -> dict[str, tuple[str, ...]]:
    """Return the modules that a problem's reference and tests import and its environment lacks, by task id.

    Problems that lack none are left out, and so are those in raysweep's own Python.

    Raises:
        MissingInput: there is no such Python.
        UsageError: nothing names the environment, or it can't run programs.
    """
    needed: dict[str, dict[str, frozenset[str]]] = {}
    for problem in problems:
        if problem.environment:
            program = problem.assemble(problem.reference or "")
            modules = _needed(program.text) | _needed(program.tests)
            needed.setdefault(problem.environment, {})[problem.task_id] = modules
    lacking: dict[str, tuple[str, ...]] = {}
    for environment, by_task in needed.items():
        python = sandbox.setting_of(environment)
        identity(environment, python)  # raises an error that says more where there is no such Python
        missing = missing_modules(python, frozenset().union(*by_task.values()))
        lacking |= {task: tuple(sorted(names & missing)) for task, names in by_task.items() if names & missing}
    return lacking


def without_packages(modules: Sequence[str]) -> str:
    """Return why a problem has no verdict, for its results, which other names of an environment may share."""
    return f"its environment lacks {', '.join(modules)}"


@lru_cache(maxsize=4096)
def _needed(text: str) -> frozenset[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    return frozenset(name.partition(".")[0] for name in needed_modules(tree))
