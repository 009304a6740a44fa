"""Counts statements, modules and lines of pages, and compares them with the budget: ``python -m tests.budget``.

tests/budget.json holds what each folder may have: statements and modules of Python, and for docs/ the lines of the
pages that are written by hand. A statement is a node of `ast.stmt` that is neither an import nor a string alone, as
docstrings are: neither long lines nor missing docstrings make a folder smaller. Budgets only fall. ``--lower`` lowers
them to what the folders have; to raise one, take as much from another one by hand.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from tests.paths import REPO

BUDGET = REPO / "tests" / "budget.json"
TOLERANCE = 0.02
"""Part of a budget that may be unused before the budget has to be lowered."""
GENERATED = ("command-options.md", "config.md", "contracts.md", "map.md")
"""Pages of docs/ that are written by a program."""
Counts = dict[str, dict[str, int]]
"""Numbers by what is counted, by folder."""


def statements(source: str) -> int:
    """Return the number of statements of a module, without imports and docstrings."""
    return sum(
        isinstance(node, ast.stmt) and not isinstance(node, (ast.Import, ast.ImportFrom)) and not _is_text(node)
        for node in ast.walk(ast.parse(source))
    )


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def counted(root: Path) -> Counts:
    """Return what the checkout at `root` has."""
    counts: Counts = defaultdict(lambda: {"statements": 0, "modules": 0})
    for top in ("raysweep", "tests"):
        for path in (root / top).rglob("*.py"):
            folder = "/".join(path.relative_to(root).parts[:-1][:2])
            counts[folder]["statements"] += statements(path.read_text(encoding="utf-8"))
            counts[folder]["modules"] += 1
    pages = [path for path in (root / "docs").rglob("*.md") if path.name not in GENERATED]
    counts["docs"] = {"lines": sum(path.read_text(encoding="utf-8").count("\n") for path in pages)}
    return dict(counts)


def sums(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Return the sums for the package, the tests and the pages: ``raysweep statements: 48344``."""
    result: dict[str, int] = defaultdict(int)
    for folder, numbers in counts.items():
        for kind, number in numbers.items():
            result[f"{folder.partition('/')[0]} {kind}"] += number
    return dict(result)


def complaints(counts: Counts, budget: Counts, earlier: list[Counts]) -> list[str]:
    """Return a line for each number above its budget, each budget to be lowered, and each sum that has grown.

    `earlier`: budgets of the commits before.
    """
    lines = []
    for folder in sorted({*counts, *budget}):
        for kind in sorted({*counts.get(folder, {}), *budget.get(folder, {})}):
            number, most = counts.get(folder, {}).get(kind, 0), budget.get(folder, {}).get(kind, 0)
            if number > most:
                lines.append(f"{folder}: {number} {kind}, the budget has {most}: remove some, or take from a folder")
            elif most - number > TOLERANCE * most:
                lines.append(f"{folder}: {number} {kind}, the budget has {most}: `python -m tests.budget --lower`")
    for name, total in sums(budget).items():
        least = min((sums(one).get(name, total) for one in earlier), default=total)
        if total > least:
            lines.append(f"{name}: the budgets' sum is {total}, and was {least}: it only falls")
    return lines


def lowered(counts: Counts, budget: Counts) -> Counts:
    """Return a budget that leaves no folder more than it has."""
    return {
        folder: {kind: min(most, counts[folder][kind]) for kind, most in budget[folder].items()}
        for folder in sorted(budget)
        if folder in counts
    }


def _earlier() -> list[Counts]:
    """Return the committed budgets, as far as the history goes back; none outside a checkout of git."""
    name = BUDGET.relative_to(REPO).as_posix()
    commits = _git("log", "--format=%H", "--", name).split()
    return [json.loads(text) for commit in commits if (text := _git("show", f"{commit}:{name}"))]


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=REPO, capture_output=True, text=True).stdout
    except OSError:
        return ""


def main() -> int:
    """Print the sums, and what is wrong. Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.budget", description=__doc__)
    parser.add_argument("--lower", action="store_true", help="lower the budgets to what the folders have")
    arguments = parser.parse_args()
    counts, budget = counted(REPO), json.loads(BUDGET.read_text())
    if arguments.lower:
        budget = lowered(counts, budget)
        BUDGET.write_text(json.dumps(budget, indent=1) + "\n")
    lines = complaints(counts, budget, _earlier())
    print(*lines, sep="\n", end="\n" if lines else "")
    print(", ".join(f"{number:,} {name}" for name, number in sums(counts).items()))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
