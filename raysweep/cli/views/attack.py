"""Prints the results of `raysweep attack`: pass@1 clean, under random and under searched changes; smallest changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raysweep.analysis.page.textdiff import ADDED, REMOVED, changes
from raysweep.cli.views.console import new_console, print_json, rate_text
from raysweep.errors import unwritable_named
from raysweep.hashing import strict_json
from raysweep.tools.attack.queries import AttackResult
from raysweep.tools.attack.run import AttackJob, Share
from raysweep.tools.attack.search import RANDOM
from raysweep.tools.attack.summary import summary_of
from raysweep.units import count

_SHOWN = 5
_MARKS = {REMOVED: "[-{}-]", ADDED: "{{+{}+}}"}


def print_attack(job: AttackJob, rows: Sequence[AttackResult], as_json: bool) -> None:
    if as_json:
        summary = summary_of(job, rows)
        facts = {
            "model": job.model,
            "problems": job.problem_set.name,
            "methods": [method.name for method in job.methods],
            "search": job.search,
            **asdict(job.limits),
            "pass@1": {
                name: asdict(rate)
                for name, rate in {"clean": summary.clean, "one_draw": summary.one_draw, **summary.rates}.items()
            },
            "failures": summary.failures,
            "ratio": summary.ratio,
            "queries": summary.queries,
            "rows": _rows(job, rows),
        }
        print_json(facts)
        return
    console = new_console()
    for line in attack_lines(job, rows):
        console.print(line, soft_wrap=True)


def write_findings(job: AttackJob, rows: Sequence[AttackResult], path: Path) -> None:
    """Write every row with its change as JSONL; raise UsageError if the file can't be written."""
    with unwritable_named(path, "choose another file"):
        path.write_text("".join(strict_json(row) + "\n" for row in _rows(job, rows)), encoding="utf-8")


def attack_lines(job: AttackJob, rows: Sequence[AttackResult]) -> list[str]:
    limits, summary = job.limits, summary_of(job, rows)
    names = ", ".join(method.name for method in job.methods)
    share = "" if limits.max_characters is None else f" and {100 * limits.max_characters:g} % of the characters"
    lines = [
        f"{job.problem_set.name}: {count(summary.problems, 'problem')}, {names}, at most "
        f"{100 * limits.max_changed:g} % of the words (at least one){share}, budget of {limits.budget:,} "
        f"queries a problem, the clean prompt included",
        f"clean pass@1                     {_shown(summary.clean)}",
        f"one random perturbation a prompt {_shown(summary.one_draw)}",
        f"random ones up to the budget     {_shown(summary.rates[RANDOM])}",
    ]
    if job.search != RANDOM:
        lines.append(f"robust pass@1 (search {job.search})".ljust(33) + _shown(summary.rates[job.search]))
        line = f"failures found: search {summary.failures[job.search]}, random {summary.failures[RANDOM]}"
        line += "" if summary.ratio is None else f" ({summary.ratio:.2f} times)"
        if len(summary.first_failures) == len(summary.failures):
            searched, drawn = (summary.first_failures[name] for name in (job.search, RANDOM))
            line += f"; queries up to the first, median: search {searched:g}, random {drawn:g}"
        lines.append(line)
    if summary.smallest:
        lines.append(f"smallest changes, {min(_SHOWN, len(summary.smallest))} of {len(summary.smallest)}:")
        prompts = {problem.task_id: problem.prompt for problem in job.problems}
        lines += [
            f"  {row.task_id}: {change_of(prompts[row.task_id], row.prompt)}" for row in summary.smallest[:_SHOWN]
        ]
    return lines


def change_of(before: str, after: str) -> str:
    """Return the changed lines of a text, with removed parts in [-...-] and added parts in {+...+}."""
    marked = "".join(_MARKS.get(change.kind, "{}").format(change.text) for change in changes(before, after))
    return " / ".join(line.strip() for line in marked.splitlines() if "[-" in line or "{+" in line)


def _rows(job: AttackJob, rows: Sequence[AttackResult]) -> list[dict[str, Any]]:
    prompts = {problem.task_id: problem.prompt for problem in job.problems}
    return [
        {**asdict(row), "change": change_of(prompts[row.task_id], row.prompt) if row.prompt else ""} for row in rows
    ]


def _shown(rate: Share) -> str:
    return rate_text(rate.value, rate.low, rate.high, 3, "problems")
