"""Judges reference solutions: finds where each problem's tests run, and sets its time limit.

Tests run outside the program's process wherever the reference solution has the same outcome there as inside
(`raysweep.execution.oracle`). That is a property of the problem, found before any other program is judged.

A problem's time limit is a multiple of its reference solution's time, so that endless programs end early. Limits are
rounded up to coarse steps, so that a slightly different measurement usually gives the same limit, and none is below
`ProblemSet.least_timeout`. The rule is EvalPlus's, https://github.com/evalplus/evalplus. Both are measured once for
each store, in the strict lane, and are an artefact, so all cells of a sweep have the same limits on every machine.
Verdicts are written as they come and kept in the store's verdict cache: a kill loses the last few, and no completion
equal to a solution runs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from raysweep.engine.base import Work
from raysweep.engine.judging import ProgramJudge
from raysweep.errors import RaysweepError, UsageError
from raysweep.execution.oracle import inside_refused, judge_references, oracle_of
from raysweep.metrics.verdicts import NO_VERDICTS
from raysweep.planning.plan import PairPlan, ReferencesPlan
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.problems.inside import inside_reasons
from raysweep.problems.packages import lacking_modules, without_packages
from raysweep.programs import COMPILED, Limits, Oracle, Outcome, Program, Verdict
from raysweep.prompts.repair.problems import RepairProblem
from raysweep.records import Problem, ReferenceRun
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.storage.store import Store
from raysweep.storage.verdicts import Question, VerdictCache

STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0)
"""Time limits are these numbers times powers of ten."""
BATCH_PROGRAMS, COMPILED_PROGRAMS = 16, 2
"""Programs in a batch, in Python and in others, which take a hundred times as long. Reference solutions are few, so
batches are small enough to give each slot some, and the progress counts batches."""


def make_references(plan: ReferencesPlan, work: Work) -> None:
    """Run the reference solutions; write where each problem's tests run, and its time limit.

    A problem whose solution does not pass keeps the plan's limit. No program runs on one whose environment lacks
    packages, or whose solution has a harness error twice while others have a verdict.

    Raises:
        RaysweepError: no solution could be judged.
        UsageError: the tests of a problem have to run inside, and the config refuses that.
    """
    all_problems = [one for one in _problems(plan) if one.test or not isinstance(one, RepairProblem)]
    lacking = lacking_modules(all_problems, plan.sandbox)
    problems = [one for one in all_problems if one.reference is not None and one.task_id not in lacking]
    judged = _judged(plan, [problem.assemble(problem.reference or "") for problem in problems], work)
    rows: list[ReferenceRun] = []
    for problem, (verdict, timeout, oracle) in zip(problems, judged, strict=True):
        judged_so = problem.task_id, verdict.outcome.value, verdict.seconds, timeout, oracle.value, verdict.detail
        rows.append(ReferenceRun(*judged_so))
    unjudged = [row for row in rows if row.outcome == Outcome.HARNESS_ERROR]
    for row in unjudged:
        work.progress.note(f"no program runs on {row.task_id}: {_unjudged(row)}")
    if unjudged and len(unjudged) == len(rows):
        raise RaysweepError(f"no reference solution could be run, such as that of {rows[0].task_id}: {rows[0].detail}")
    for problem in all_problems:
        if modules := lacking.get(problem.task_id):
            oracle = oracle_of(problem.assemble(problem.reference or ""))
            why = without_packages(modules)
            rows.append(
                ReferenceRun(problem.task_id, Outcome.UNTESTED.value, 0.0, plan.limits.timeout, oracle.value, why)
            )
    reasons = inside_reasons(all_problems, {row.task_id: row.oracle for row in rows})
    if reasons and plan.sandbox.require_oracle is Oracle.OUTSIDE:
        raise UsageError(inside_refused(reasons))
    with work.store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, ReferenceRun, rows, ["task_id"])
        passed = sum(row.outcome == Outcome.PASSED for row in rows)
        inside = sum(row.oracle == Oracle.INSIDE for row in rows)
        draft.counts = {"rows": len(rows), "passed": passed, "inside": inside}
        draft.counts |= {"lacking_packages": len(lacking)} if lacking else {}


def stored_inside_reasons(plan: ReferencesPlan, store: Store) -> dict[str, str]:
    """Return why problems are judged inside, by task id; without stored references the tests alone tell it."""
    rows = store.rows(plan.node, ReferenceRun) if store.has(plan.node) else []
    return inside_reasons(_problems(plan), {row.task_id: row.oracle for row in rows})


def left_out(plan: ReferencesPlan, store: Store) -> dict[str, Verdict]:
    """Return, in place of a verdict, why no program runs on a problem, by task id; see `make_references`."""
    rows = [row for row in store.rows(plan.node, ReferenceRun) if row.outcome in NO_VERDICTS]
    return {
        row.task_id: Verdict(Outcome(row.outcome), row.detail if row.outcome == Outcome.UNTESTED else _unjudged(row))
        for row in rows
    }


def settings_of(pair: PairPlan, store: Store) -> Callable[[str, Program], tuple[Oracle, Limits]]:
    """Return a function from a task id and a program to where its tests run, and its limits.

    Raises:
        UsageError: the tests of a problem have to run inside, and the config refuses that.
    """
    if pair.sandbox.require_oracle is Oracle.OUTSIDE and (reasons := stored_inside_reasons(pair.references, store)):
        raise UsageError(inside_refused(reasons))
    rows = {row.task_id: row for row in store.rows(pair.references.node, ReferenceRun)}

    def settings(task_id: str, program: Program) -> tuple[Oracle, Limits]:
        row = rows.get(task_id)
        oracle = Oracle(row.oracle) if row else oracle_of(program)
        return oracle, dataclasses.replace(pair.limits, timeout=row.timeout) if row else pair.limits

    return settings


def rounded_timeout(seconds: float, factor: float, limit: float, least: float = ProblemSet.least_timeout) -> float:
    """Return `factor` times a reference solution's seconds, rounded up to a step, between `least` and `limit`."""
    timeout = max(least, factor * seconds)
    scale = 10.0 ** math.floor(math.log10(timeout))
    return min(limit, next(step * scale for step in STEPS if step * scale >= timeout))


def _unjudged(row: ReferenceRun) -> str:
    return f"its reference solution could not be run: {row.detail}"


def _problems(plan: ReferencesPlan) -> Sequence[Problem]:
    return PROBLEMS.create(plan.problem_set).problems()[: plan.limit]


def _judged(plan: ReferencesPlan, programs: Sequence[Program], work: Work) -> list[tuple[Verdict, float, Oracle]]:
    """Return the verdict on each solution, the time limit of its problem's programs, and where their tests run.

    The verdict cache has each verdict under the problem's limit, too, so that no completion equal to it runs again.
    """
    sandbox = dataclasses.replace(plan.sandbox, require_oracle=Oracle.INSIDE)
    spec, files = plan.node.spec, work.store.unfinished(plan.node).below("verdicts")
    judge = ProgramJudge(work.stages, work.progress, VerdictCache(work.store.files, str(spec["python"])), sandbox)
    smallest = COMPILED_PROGRAMS if any(program.language in COMPILED for program in programs) else BATCH_PROGRAMS

    def question(program: Program, oracle: Oracle | None, limits: Limits) -> Question:
        return Question(program.sha, limits, oracle or oracle_of(program), str(spec.get("toolchain", "")))

    def run(wanted: Sequence[Program]) -> list[Verdict]:
        questions = [question(program, program.oracle, plan.limits) for program in wanted]
        verdicts = judge.judge(dict(zip(questions, wanted, strict=True)), files, smallest, "making").verdicts
        return [verdicts[one] for one in questions]

    judged = []
    for program, (verdict, oracle) in zip(programs, judge_references(programs, run), strict=True):
        timeout = plan.limits.timeout
        if verdict.outcome is Outcome.PASSED and plan.factor is not None:
            timeout = rounded_timeout(verdict.seconds, plan.factor, timeout, plan.least)
            known = question(program, oracle, dataclasses.replace(plan.limits, timeout=timeout))
            judge.keep({known: dataclasses.replace(verdict, limit_seconds=timeout)})
        judged.append((verdict, timeout, oracle))
    judge.flush()
    return judged
