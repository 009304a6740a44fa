"""Builds test sets: the prompts of a problem set after a perturbation, one row a problem."""

from __future__ import annotations

import re
import warnings
from itertools import islice

from raysweep.errors import UsageError, did_you_mean
from raysweep.perturbations.apply import Perturber, RowText
from raysweep.perturbations.recode import recode_prompt
from raysweep.perturbations.regions import protected_words
from raysweep.problems.base import ProblemSet
from raysweep.records import Problem, PromptRow, Spec

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
    """Return the prompts of the first `limit` problems (all without it) after the perturbation, in the set's order.

    Args:
        problem_set: where the problems come from.
        perturbation: a registered name with its arguments; ``clean`` changes nothing.
        seed: of the study. Under `compat` it is ReCode's, the same for every row.
        draw: of the noise: 0 is the study's; under `compat` it is added to the seed, as ReCode's own draws are.
        compat: None, or ``recode`` to perturb as ReCode does (study.md section 4).
        limit: keep only so many problems.

    Raises:
        UsageError: for an unknown perturbation or compat, or a method that has no such compat.
    """
    if compat not in (None, RECODE):
        raise UsageError(f"unknown compat {compat!r}{did_you_mean(str(compat), [RECODE])}; known: {RECODE}")
    source_id = f"problems/{problem_set.name}" + (f"/draw {draw}" if draw else "")
    perturber = Perturber(perturbation, seed=seed, source_id=source_id)
    problems = list(islice(problem_set.problems(), limit))
    if compat == RECODE:
        methods = [perturber.method(problem.task_id) for problem in problems]
        return [
            _row(p, recode_prompt(method, p.prompt, p.entry_point, p.reference, seed + draw), method.name)
            for p, method in zip(problems, methods, strict=True)
        ]
    texts = [RowText(problem_set.segments(p), protected_words(p.prompt), p.task_id) for p in problems]
    made = perturber.perturb_all(texts)
    return [_row(problem, done.text, done.method) for problem, done in zip(problems, made, strict=True)]


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
    """Tell whether a prompt still compiles as the clean one does; True where that says nothing.

    With the reference solution, or where there is none with a body that fits, or as it stands. It says nothing of other
    languages, and where the clean prompt compiles in no such way.
    """
    if problem.language != "python":
        return True
    indent = _INDENT.findall(problem.prompt)[-1:] or ["    "]
    endings = [f"\n{indent[0]}pass\n", ""] if problem.reference is None else [problem.reference]
    ending = next((ending for ending in endings if _compiles(problem.prompt + ending)), None)
    return ending is None or _compiles(prompt + ending)


def _compiles(program: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SyntaxWarning: an invalid escape sequence compiles all the same
        try:
            compile(program, "<prompt>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
            return False
    return True
