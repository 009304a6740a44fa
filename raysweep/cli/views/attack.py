"""Prints the results of `raysweep attack`: pass@1 clean, under random and greedy changes; the smallest changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Column, Table

from raysweep.analysis.page.textdiff import ADDED, REMOVED, changes
from raysweep.cli.views.console import new_console, print_json, rate_text
from raysweep.errors import unwritable_named
from raysweep.hashing import strict_json
from raysweep.tools.attack.run import AttackJob, rates_of
from raysweep.tools.attack.search import AttackOutcome, AttackResult
from raysweep.units import count

_SHOWN = 5
_MARKS = {REMOVED: "[-{}-]", ADDED: "{{+{}+}}"}


def print_attack(job: AttackJob, rows: Sequence[AttackResult], as_json: bool) -> None:
    rates, methods = rates_of(rows), [method.name for method in job.methods]
    if as_json:
        facts = {"model": job.model, "problems": job.problem_set.name, "methods": methods}
        limits = {"budget": job.budget, "max_changed": job.max_changed}
        print_json({**facts, **limits, "rates": list(map(asdict, rates)), "rows": list(map(asdict, rows))})
        return
    console = new_console()
    console.print(
        f"{job.problem_set.name}: {count(len(job.problems), 'problem')}, {', '.join(methods)}, at most "
        f"{100 * job.max_changed:g} % of the words (at least one), {job.budget:,} queries a problem",
        soft_wrap=True,
    )
    numbers = (Column(name, justify="right") for name in ("failures", "queries"))
    table = Table("prompts", "pass@1", *numbers, box=None, pad_edge=False)
    for rate in rates:
        shown = rate_text(rate.value, rate.low, rate.high, 3, "problems")
        table.add_row(rate.under, shown, f"{rate.failures:,}", f"{rate.queries:,}")
    console.print(table)
    prompts = {problem.task_id: problem.prompt for problem in job.problems}
    successes = sorted((row for row in rows if row.outcome == AttackOutcome.SUCCEEDED), key=lambda row: row.words)
    for row in successes[:_SHOWN]:
        console.print(f"{row.task_id}, {row.search}: {change_of(prompts[row.task_id], row.prompt)}", soft_wrap=True)


def write_rows(rows: Sequence[AttackResult], path: Path) -> None:
    """Write every row as JSONL; raise UsageError if the file can't be written."""
    with unwritable_named(path, "choose another file"):
        path.write_text("".join(strict_json(asdict(row)) + "\n" for row in rows), encoding="utf-8")


def change_of(before: str, after: str) -> str:
    """Return the changed lines of a text, with removed parts in [-...-] and added parts in {+...+}."""
    marked = "".join(_MARKS.get(change.kind, "{}").format(change.text) for change in changes(before, after))
    return " / ".join(line.strip() for line in marked.splitlines() if "[-" in line or "{+" in line)
