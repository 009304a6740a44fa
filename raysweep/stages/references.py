"""Judges reference solutions: finds where each problem's tests run, and sets its time limit.

Tests run outside the program's process wherever the reference solution has the same outcome there as inside
(`raysweep.execution.oracle`). That is a property of the problem, found before any other program is judged.

A problem's time limit is a multiple of its reference solution's time, so that endless programs end early. Limits are
rounded up to coarse steps, so that a slightly different measurement usually gives the same limit, and none is below
`ProblemSet.least_timeout`. The rule is EvalPlus's, https://github.com/evalplus/evalplus. Both are measured once for
each store, in the strict lane, and are an artefact, so all cells of a sweep have the same limits on every machine.
Verdicts are written as they come and kept in the store's verdict cache: a kill loses the last few, and no completion
equal to a solution runs. A control of each problem (`raysweep.problems.controls`) shows whether its tests check
anything.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat

from raysweep.engine.base import Work
from raysweep.engine.judging import ProgramJudge
from raysweep.errors import RaysweepError, UsageError
from raysweep.execution.oracle import inside_refused, judge_references, oracle_of
from raysweep.metrics.verdicts import NO_VERDICTS
from raysweep.planning.plan import PairPlan, ReferencesPlan
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.problems.controls import control_of, has_assertion, unchecked_reason
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
    """Run the reference solutions; write where each problem's tests run, its time limit, and if they check nothing.

    A problem whose solution does not pass keeps the plan's limit. No program runs on one whose environment lacks
    packages, or whose solution has a harness error twice while others have a verdict.

    Raises:
        RaysweepError: no solution could be judged.
        UsageError: the tests of a problem have to run inside, and the config refuses that.
    """
    all_problems = [one for one in _problems(plan) if one.test or not isinstance(one, RepairProblem)]
    lacking = lacking_modules(all_problems, plan.sandbox)
    problems = [one for one in all_problems if one.reference is not None and one.task_id not in lacking]
    rows = _reference_runs(plan, problems, work)
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


def unchecked_tests(plan: ReferencesPlan, store: Store) -> dict[str, str]:
    """Return why the tests of problems check nothing, by task id; before programs ran, as far as their text tells."""
    if store.has(plan.node):
        return {row.task_id: row.unchecked for row in store.rows(plan.node, ReferenceRun) if row.unchecked}
    return {problem.task_id: "no assertion is in them" for problem in _problems(plan) if not has_assertion(problem)}


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


def _reference_runs(plan: ReferencesPlan, problems: Sequence[Problem], work: Work) -> list[ReferenceRun]:
    """Run the solutions of problems, and the control of each whose solution passes.

    The verdict cache has each verdict under the problem's limit, too, so that no completion equal to it runs again.
    """
    sandbox = dataclasses.replace(plan.sandbox, require_oracle=Oracle.INSIDE)
    spec, files = plan.node.spec, work.store.unfinished(plan.node).below("verdicts")
    judge = ProgramJudge(work.stages, work.progress, VerdictCache(work.store.files, str(spec["python"])), sandbox)
    smallest = COMPILED_PROGRAMS if any(problem.language in COMPILED for problem in problems) else BATCH_PROGRAMS

    def question(program: Program, timeout: float) -> Question:
        limits = dataclasses.replace(plan.limits, timeout=timeout)
        return Question(program.sha, limits, program.oracle or oracle_of(program), str(spec.get("toolchain", "")))

    def run(programs: Sequence[Program], timeouts: Iterable[float] = repeat(plan.limits.timeout)) -> list[Verdict]:
        questions = [question(*of_program) for of_program in zip(programs, timeouts, strict=False)]
        verdicts = judge.judge(dict(zip(questions, programs, strict=True)), files, smallest, "making").verdicts
        return [verdicts[one] for one in questions]

    runs, controls = dict[str, ReferenceRun](), dict[str, Program]()
    programs = [problem.assemble(problem.reference or "") for problem in problems]
    for problem, program, (verdict, oracle) in zip(problems, programs, judge_references(programs, run), strict=True):
        timeout, has_passed = plan.limits.timeout, verdict.outcome is Outcome.PASSED
        if has_passed and plan.factor is not None:
            timeout = rounded_timeout(verdict.seconds, plan.factor, timeout, plan.least)
            known = question(dataclasses.replace(program, oracle=oracle), timeout)
            judge.keep({known: dataclasses.replace(verdict, limit_seconds=timeout)})
        if has_passed and (control := control_of(problem)):
            controls[problem.task_id] = dataclasses.replace(control, oracle=oracle)
        of_run = verdict.outcome.value, verdict.seconds, timeout, oracle.value, verdict.detail
        runs[problem.task_id] = ReferenceRun(problem.task_id, *of_run)
    of_controls = run([*controls.values()], [runs[task_id].timeout for task_id in controls])
    judge.flush()
    passed = {task_id for task_id, verdict in zip(controls, of_controls, strict=True) if verdict.outcome == "passed"}
    reasons = {problem.task_id: unchecked_reason(problem) for problem in problems if problem.task_id in passed}
    return [dataclasses.replace(one, unchecked=reasons.get(one.task_id, "")) for one in runs.values()]
