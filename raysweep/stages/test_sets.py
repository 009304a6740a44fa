"""Builds test sets: the prompts of a problem set after a perturbation, one row for each problem."""

from __future__ import annotations

import re
import warnings
from itertools import islice

from raysweep.engine.base import Work
from raysweep.errors import UsageError, did_you_mean
from raysweep.execution.compiled.same_code import COMPILED, same_code
from raysweep.perturbations.apply import Perturber, RowText
from raysweep.perturbations.characters.recode import recode_prompt
from raysweep.planning.plan import TestSetPlan
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.records import Problem, PromptRow, Spec
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages.inputs import require_rows, require_unique

RECODE = "recode"
_INDENT = re.compile(r"^([ \t]+)\S", re.MULTILINE)


def build_test_set(
    problem_set: ProblemSet,
    perturbation: Spec,
    *,
    seed: int,
    draw: int = 0,
    compat: str | None = None,
    limit: int | None = None,
) -> list[PromptRow]:
    """Return the prompts of the problems after the perturbation, in the set's order.

    `seed`: the study's. With `compat` it is ReCode's seed, the same for every row. `draw`: number of the random draw, 0
    for the study's own. With `compat` it is added to the seed, as in ReCode. `compat`: None, or ``recode`` to perturb
    as ReCode does.

    Raises:
        UsageError: the perturbation or compat is unknown, or the method has no such compat.
    """
    if compat not in (None, RECODE):
        raise UsageError(f"unknown compat {compat!r}{did_you_mean(str(compat), [RECODE])}; known: {RECODE}")
    source_id = f"problems/{problem_set.name}" + (f"/draw {draw}" if draw else "")
    perturber = Perturber(perturbation, seed=seed, source_id=source_id)
    problems = list(islice(problem_set.problems(), limit))
    require_rows(len(problems), f"problem set {problem_set.name!r}")
    require_unique([problem.task_id for problem in problems], "task id", f"problem set {problem_set.name!r}")
    if compat == RECODE:
        methods = [perturber.method(problem.task_id) for problem in problems]
        return [
            _row(p, recode_prompt(method, p.prompt, p.entry_point, p.reference, seed + draw), method.name)
            for p, method in zip(problems, methods, strict=True)
        ]
    texts = [RowText(problem_set.segments(p), problem_set.protected(p), p.task_id) for p in problems]
    results = perturber.perturb_all(texts)
    return [_row(problem, result.text, result.method) for problem, result in zip(problems, results, strict=True)]


def make_test_set(plan: TestSetPlan, work: Work) -> None:
    problems = PROBLEMS.create(plan.problem_set)
    rows = build_test_set(
        problems, plan.perturbation, seed=plan.seed, draw=plan.draw, compat=plan.compat, limit=plan.limit
    )
    with work.store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, PromptRow, rows, ["task_id"])
        unchanged, broken = sum(not row.changed for row in rows), sum(not row.compiles for row in rows)
        draft.counts = {"rows": len(rows), "rows_unchanged": unchanged, "rows_not_compiling": broken}


def _row(problem: Problem, prompt: str, method: str) -> PromptRow:
    changed = prompt != problem.prompt
    return PromptRow(
        task_id=problem.task_id,
        prompt=prompt,
        clean_prompt=problem.prompt,
        method=method,
        changed=changed,
        compiles=not changed or still_compiles(problem, prompt),
    )


def still_compiles(problem: Problem, prompt: str) -> bool:
    """Return False if the clean prompt compiles with an ending and the perturbed one with the same ending does not.

    In Python the ending is the reference solution; without one it is ``pass`` in the prompt's indentation, or else
    nothing. Return True if the clean prompt compiles with no ending. In a compiled language, whose compiler may be
    absent, the answer is whether both prompts have the same code outside of comments.
    """
    if problem.language in COMPILED:
        return same_code(problem.prompt, prompt, problem.language)
    if problem.language != "python":
        return True
    indent = _INDENT.findall(problem.prompt)[-1:] or ["    "]
    endings = [f"\n{indent[0]}pass\n", ""] if problem.reference is None else [problem.reference]
    ending = next((ending for ending in endings if _compiles(problem.prompt + ending)), None)
    return ending is None or _compiles(prompt + ending)


def _compiles(program: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape sequence compiles, with a SyntaxWarning
        try:
            compile(program, "<prompt>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
            return False
    return True
