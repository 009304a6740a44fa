"""Lints the files of a batch: sampled completions of many cells, read by one process of pylint and never run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from raysweep.engine.base import Work
from raysweep.errors import HopelessError
from raysweep.planning.choice import chosen_count
from raysweep.planning.plan import QualityPlan
from raysweep.quality.files import SourceFile, completion_file
from raysweep.quality.linting import fingerprint, lint_groups
from raysweep.quality.reports import MESSAGES, FileReport, LintMessage
from raysweep.records import Completion
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages.editing import edited_problems
from raysweep.stages.inputs import problems_of
from raysweep.storage.store import Store


def lint_completions(plans: Sequence[QualityPlan], work: Work) -> None:
    """Lint the files of all plans in one process, and write what belongs to each plan.

    In an artefact a file's id is that of its problem.

    Raises:
        HopelessError: this process has another pylint than the plan, or a problem set has fewer problems.
        RaysweepError: pylint can't be started.
    """
    here, planned = fingerprint(), plans[0].node.spec
    if differing := [name for name, value in here.items() if planned.get(name) != value]:
        shown = ", ".join(f"{name} {here[name]}, planned with {planned.get(name)}" for name in differing)
        raise HopelessError(f"this node lints with {shown}; install the same versions on all nodes")
    distinct = {plan.node.key: plan for plan in plans}  # two names of one model may have the same completions
    files = {key: _files(plan, work.store) for key, plan in distinct.items()}
    groups = lint_groups(files, report=lambda done, total: work.progress.update("linting", done, total))
    for key, plan in distinct.items():
        if work.store.has(plan.node):
            work.store.remove(plan.node)  # of another model than the one that is chosen now
        with work.store.writing(plan.node) as draft:
            reports = groups[key]
            write_rows(draft.folder / ROWS, FileReport, reports.files, ["file_id"])
            write_rows(draft.folder / MESSAGES, LintMessage, reports.messages, ["file_id", "line", "column", "code"])
            draft.counts = {
                "rows": len(reports.files),
                "messages": len(reports.messages),
                "outcomes": dict(sorted(Counter(file.outcome for file in reports.files).items())),
                "cpu_seconds": round(sum(file.seconds for file in reports.files), 2),
                **chosen_count(plan.cell, work.store),
            }


def _files(plan: QualityPlan, store: Store) -> list[SourceFile]:
    """Return a plan's files, in the problem set's order.

    The problem from which the cell's model was edited has none: planning doesn't know it, and no number counts it.
    """
    problems = list(problems_of(plan.pair).values())
    if plan.problems[-1] >= len(problems):
        raise HopelessError(
            f"{plan.node.label}: problem {plan.problems[-1] + 1} of a set with {len(problems)} is to be linted; run "
            "the command again"
        )
    search = plan.cell.pair_search
    edited = edited_problems(search.node, plan.cell.model, store) if search else ()
    chosen = [problem for number in plan.problems if (problem := problems[number]).task_id not in edited]
    wanted = {problem.task_id for problem in chosen}
    completions = {
        row.task_id: row
        for row in store.rows(plan.pair.completions, Completion)
        if row.sample == 0 and row.task_id in wanted
    }
    way = plan.pair.extract
    return [completion_file(problem.task_id, problem, completions[problem.task_id], way) for problem in chosen]
