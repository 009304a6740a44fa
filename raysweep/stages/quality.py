"""Lints the files of a batch: sampled completions of many cells, read by a process of each linter and never run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from raysweep.engine.base import Work
from raysweep.errors import HopelessError
from raysweep.planning.plan import QualityPlan
from raysweep.quality.files import SourceFile, completion_file
from raysweep.quality.linting import fingerprint, lint
from raysweep.quality.reports import MESSAGES, SECOND, FileReport, LintMessage, LintReports
from raysweep.quality.ruff_check import check_with_ruff, ruff_fingerprint
from raysweep.records import Completion
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages.inputs import problems_of
from raysweep.storage.store import Store

_SECOND = "second"  # in a key: what the second linter's reports depend on


def lint_completions(plans: Sequence[QualityPlan], work: Work) -> None:
    """Lint the files of all plans in one process, and write what belongs to each plan.

    In an artefact a file's id is that of its problem.

    Raises:
        HopelessError: this process has another linter than the plan, or a problem set has fewer problems.
        RaysweepError: the linter can't be started.
    """
    _require_linter(plans[0])
    distinct = {plan.node.key: plan for plan in plans}  # two names of one model may have the same completions
    files = {key: _files(plan, work.store) for key, plan in distinct.items()}
    batch = [replace(file, file_id=_named(key, file.file_id)) for key, own in files.items() for file in own]
    found = lint(batch, report=lambda done, total: work.progress.update("linting", done, total))
    second = check_with_ruff(batch) if _SECOND in plans[0].node.spec else None
    for key, plan in distinct.items():
        others = _part(second, key, files[key]).messages if second else None
        _write(plan, _part(found, key, files[key]), others, work.store)


def _require_linter(plan: QualityPlan) -> None:
    """Raise HopelessError if this process would lint otherwise than the process that planned it."""
    here = {**fingerprint(), **({_SECOND: ruff_fingerprint()} if _SECOND in plan.node.spec else {})}
    differing = [name for name, value in here.items() if plan.node.spec.get(name) != value]
    if differing:
        shown = ", ".join(f"{name} {here[name]}, planned with {plan.node.spec.get(name)}" for name in differing)
        raise HopelessError(f"this node lints with {shown}; install the same versions on all nodes")


def _files(plan: QualityPlan, store: Store) -> list[SourceFile]:
    """Return a plan's files, in the problem set's order."""
    problems = list(problems_of(plan.pair).values())
    if plan.problems[-1] >= len(problems):
        raise HopelessError(
            f"{plan.node.label}: problem {plan.problems[-1] + 1} of a set with {len(problems)} is to be linted; run "
            "the command again"
        )
    chosen = [problems[number] for number in plan.problems]
    wanted = {problem.task_id for problem in chosen}
    completions = {
        row.task_id: row
        for row in store.rows(plan.pair.completions, Completion)
        if row.sample == 0 and row.task_id in wanted
    }
    return [completion_file(problem.task_id, problem, completions[problem.task_id]) for problem in chosen]


def _named(key: str, task_id: str) -> str:
    return f"{key}/{task_id}"


def _part(found: LintReports, key: str, files: Sequence[SourceFile]) -> LintReports:
    """Return the reports on one plan's files, under the ids of their problems."""
    names: Mapping[str, str] = {_named(key, file.file_id): file.file_id for file in files}
    return LintReports(
        tuple(replace(file, file_id=names[file.file_id]) for file in found.files if file.file_id in names),
        tuple(replace(one, file_id=names[one.file_id]) for one in found.messages if one.file_id in names),
    )


def _write(plan: QualityPlan, reports: LintReports, second: Sequence[LintMessage] | None, store: Store) -> None:
    order = ["file_id", "line", "column", "code"]
    with store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, FileReport, reports.files, ["file_id"])
        write_rows(draft.folder / MESSAGES, LintMessage, reports.messages, order)
        if second is not None:
            write_rows(draft.folder / SECOND, LintMessage, second, order)
        draft.counts = {
            "rows": len(reports.files),
            "messages": len(reports.messages),
            "outcomes": dict(sorted(Counter(file.outcome for file in reports.files).items())),
            "cpu_seconds": round(sum(file.seconds for file in reports.files), 2),
        }
