"""Sets each problem's time limit to a multiple of its reference solution's time, so that endless programs end early.

The times are measured once for each store, in the strict lane, and are an artefact, so all cells of a sweep have the
same limits on every machine. Limits are rounded up to coarse steps, so that a slightly different measurement usually
gives the same limit. No limit is below 1 s. The rule is EvalPlus's, https://github.com/evalplus/evalplus.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from raysweep.engine.base import ExecuteJob, ProgramBatch, Work
from raysweep.errors import RaysweepError
from raysweep.planning.plan import PairPlan, ReferenceTimesPlan
from raysweep.problems.base import PROBLEMS
from raysweep.programs import Limits, Outcome
from raysweep.records import Problem, ReferenceTime
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.storage.store import Store

MIN_SECONDS = 1.0
STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0)
"""Time limits are these numbers times powers of ten."""
BATCH_PROGRAMS = 16
"""Programs in a batch. Reference solutions are few, so batches are small enough to give each slot some."""


def make_reference_times(plan: ReferenceTimesPlan, work: Work) -> None:
    """Run the reference solutions and write the time limit of each problem.

    A problem whose solution does not pass keeps the plan's limit.

    Raises:
        RaysweepError: a solution could not be judged.
    """
    problems = [problem for problem in PROBLEMS.create(plan.problem_set).problems() if problem.reference is not None]
    starts = range(0, len(problems), BATCH_PROGRAMS)
    batches = [problems[start : start + BATCH_PROGRAMS] for start in starts]
    job = ExecuteJob([_batch(plan, batch) for batch in batches], plan.sandbox)
    rows: list[ReferenceTime] = []
    for output in work.stages.execute(job, work.progress) if batches else ():
        for problem, verdict in zip(batches[output.index], output.rows, strict=True):
            if verdict.outcome is Outcome.HARNESS_ERROR:
                raise RaysweepError(f"the reference solution of {problem.task_id} could not be run: {verdict.detail}")
            passed = verdict.outcome is Outcome.PASSED
            timeout = (
                rounded_timeout(verdict.seconds, plan.factor, plan.limits.timeout) if passed else plan.limits.timeout
            )
            rows.append(ReferenceTime(problem.task_id, verdict.outcome.value, verdict.seconds, timeout))
        work.progress.update("making", len(rows), len(problems))
    with work.store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, ReferenceTime, rows, ["task_id"])
        draft.counts = {"rows": len(rows), "passed": sum(row.outcome == Outcome.PASSED for row in rows)}


def limits_of(pair: PairPlan, store: Store) -> Callable[[str], Limits]:
    """Return a function from a task id to the limits of its programs."""
    if pair.times is None:
        return lambda task_id: pair.limits
    timeouts = {row.task_id: row.timeout for row in store.rows(pair.times.node, ReferenceTime)}
    return lambda task_id: dataclasses.replace(pair.limits, timeout=timeouts.get(task_id, pair.limits.timeout))


def rounded_timeout(seconds: float, factor: float, limit: float) -> float:
    """Return `factor` times a reference solution's seconds, rounded up to a step, between MIN_SECONDS and `limit`."""
    timeout = max(MIN_SECONDS, factor * seconds)
    scale = 10.0 ** math.floor(math.log10(timeout))
    return min(limit, next(step * scale for step in STEPS if step * scale >= timeout))


def _batch(plan: ReferenceTimesPlan, problems: list[Problem]) -> ProgramBatch:
    programs = [problem.assemble(problem.reference or "") for problem in problems]
    return ProgramBatch(programs, [plan.limits] * len(programs))
