"""Why problems are judged inside: by their tests, or by where their reference solutions were judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from raysweep.execution.oracle import BY_REFERENCE, reason_for_inside
from raysweep.programs import Oracle
from raysweep.records import Problem


def inside_reasons(problems: Iterable[Problem], judged: Mapping[str, str]) -> dict[str, str]:
    """Return why each problem that is judged inside is, by task id; problems judged outside are left out.

    `judged`: the `Oracle` that the reference solution of a problem showed, by task id; the tests alone tell it of other
    problems.
    """
    reasons: dict[str, str] = {}
    for problem in problems:
        reason = reason_for_inside(problem.assemble(problem.reference or ""))
        if judged.get(problem.task_id, Oracle.INSIDE if reason else Oracle.OUTSIDE) == Oracle.INSIDE:
            reasons[problem.task_id] = reason or BY_REFERENCE
    return reasons
