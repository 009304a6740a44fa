"""Prints prompts before and after `raysweep perturb`, and writes them as a problem file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from raysweep.analysis.page.textdiff import ADDED, EQUAL, REMOVED, Change, changes
from raysweep.errors import unwritable_named
from raysweep.hashing import strict_json
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.problems.file_problems import perturbed_fields
from raysweep.records import Problem, PromptRow

_STYLES = {EQUAL: "", REMOVED: "red strike", ADDED: "green"}
_MARKS = {EQUAL: ("", ""), REMOVED: ("[-", "-]"), ADDED: ("{+", "+}")}


def preview(rows: Sequence[PromptRow], console: Console, limit: int) -> None:
    """Print the changed lines of the first `limit` changed rows, then the summary.

    Removed text is red and struck out, added text green; without colour they are marked [-...-] and {+...+}. Methods of
    words and sentences have whole words marked, others characters.
    """
    colour = console.color_system is not None and not console.no_color
    changed = [row for row in rows if row.changed]
    for row in changed[:limit]:
        console.print(Text(f"{row.task_id}  {row.method}", style="bold"), soft_wrap=True)
        console.print(_diff(row, colour), soft_wrap=True)
    if len(changed) > limit:
        console.print(Text(f"... and {len(changed) - limit} more changed rows", style="dim"), soft_wrap=True)
    console.print(Text(summary(rows)), soft_wrap=True)


def summary(rows: Sequence[PromptRow]) -> str:
    changed = sum(row.changed for row in rows)
    broken = sum(not row.compiles for row in rows)
    return f"{len(rows)} rows, {changed} changed, {len(rows) - changed} unchanged, {broken} not compiling"


def write_problem_rows(problems: Sequence[Problem], rows: Sequence[PromptRow], path: Path) -> None:
    """Write a problem file, as JSONL, with a line for each perturbed prompt; raise UsageError if that fails."""
    by_id = {problem.task_id: problem for problem in problems}
    lines = [strict_json(perturbed_fields(by_id[row.task_id], row.prompt)) + "\n" for row in rows]
    with unwritable_named(path, "choose another file"):
        path.write_text("".join(lines), encoding="utf-8")


def _diff(row: PromptRow, colour: bool) -> Text:
    text = Text()
    skipping = False
    whole = row.method in PERTURBATIONS.names() and PERTURBATIONS.get(row.method).level in ("word", "sentence")
    for line in _lines(changes(row.clean_prompt, row.prompt, whole_words=whole)):
        if all(piece.kind == EQUAL for piece in line):
            if not skipping:
                text.append("  ...\n", style="dim")
            skipping = True
            continue
        skipping = False
        text.append("  ")
        for piece in line:
            before, after = ("", "") if colour else _MARKS[piece.kind]
            text.append(f"{before}{piece.text}{after}", style=_STYLES[piece.kind] if colour else "")
        text.append("\n")
    return text


def _lines(pieces: Sequence[Change]) -> list[list[Change]]:
    lines: list[list[Change]] = [[]]
    for piece in pieces:
        first, *others = piece.text.split("\n")
        lines[-1] += [Change(piece.kind, first)] if first else []
        lines += [[Change(piece.kind, part)] if part else [] for part in others]
    return lines
