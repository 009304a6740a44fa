"""Writes docs/map.md, where every file of the package has a line, from the docstrings of its folders.

``python -m tests.map`` writes it anew after a file was added, moved or described in other words.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.paths import REPO
from tests.syntax import parsed

MAP = REPO / "docs" / "map.md"
PACKAGE = REPO / "raysweep"
ENTRY = re.compile(r"^ *(\w+(?:\.py|/)) +(.+)$")
DOORS = """pipeline records cli/app sweep/run config/schema planning/planner planning/plan planning/keys stages/training
stages/generation engine/base engine/ray/engine storage/store storage/leases registry perturbations/base trainers/loop
generators/transformers execution/pool sweep/report/write"""
"""The files that show most of how raysweep works, in the order in which to read them."""
HEAD = """# Map

Every file of raysweep, folder by folder, as the folders' docstrings describe them. `pipeline.py` is the place to start
reading, and `base.py` in a folder is the contract of its variants. A folder imports only what lies on its own floor or
below; `tests/test_borders.py` holds the order. `python -m tests.map` writes this page.

Two kinds of files have no line of their own. A folder's `__init__.py` holds the docstring from which its table is made;
those of `raysweep`, `execution`, `metrics` and `stats` also offer names to import, such as `raysweep.run`. With
`raysweep/__main__.py`, `python -m raysweep` is the command `raysweep`.
"""


def docstring(path: Path) -> str:
    """Return a module's docstring."""
    return ast.get_docstring(parsed(path)) or ""


def summary(path: Path) -> str:
    """Return the first line of a module's docstring, without its full stop."""
    return docstring(path).partition("\n")[0].rstrip(".")


def section(folder: Path) -> str:
    """Return the section of a folder: its sentences, then its files and folders."""
    sentences, files = [], []
    for line in docstring(folder / "__init__.py").splitlines():
        if entry := ENTRY.match(line):
            files.append(f"| `{entry[1]}` | {entry[2]} |")
        elif not files:
            sentences.append(line)
    name = folder.relative_to(PACKAGE).as_posix()
    table = "\n".join(["| file | what it does |", "|---|---|", *files])
    return f"## {name}\n\n" + "\n".join(sentences).strip() + f"\n\n{table}\n"


def written() -> str:
    """Return the page."""
    doors = [f"| `{door}.py` | {summary(PACKAGE / f'{door}.py')} |" for door in DOORS.split()]
    first = "\n".join(["| file | what it does |", "|---|---|", *doors])
    top = [path for path in sorted(PACKAGE.glob("*.py")) if not path.name.startswith("__")]
    lines = [f"| `{path.name}` | {summary(path)} |" for path in top]
    modules = "\n".join(["| module | what it holds |", "|---|---|", *lines])
    folders = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)
    doors_section = f"## {len(doors)} files to open first\n\n{first}\n"
    return "\n".join([HEAD, doors_section, f"## The package's own modules\n\n{modules}\n", *map(section, folders)])


if __name__ == "__main__":
    MAP.write_text(written(), encoding="utf-8")
