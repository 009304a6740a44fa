"""README.md: its map names every file of the package, in the entry of the file's folder, and no other."""

from __future__ import annotations

import re

from tests.paths import REPO

PACKAGE = REPO / "raysweep"
UNNAMED = ("__init__.py", "__main__.py", "base.py")
"""Files that need no entry: the README says once what a base.py is."""


def entries() -> dict[str, str]:
    """Return the text of each entry of the map: a module (``units.py``), a folder (``cli``, ``cli/views``)."""
    tree = (REPO / "README.md").read_text().partition("\n## Where everything lives\n")[2].partition("\n## ")[0]
    found: dict[str, str] = {}
    top = middle = name = ""
    for line in tree.splitlines():
        if entry := re.match(r"  (\w+(?:\.py)?)/? ", line):
            top = name = entry[1]
        elif entry := re.match(r"    (\w+)/ ", line):
            middle = name = f"{top}/{entry[1]}"
        elif entry := re.match(r"      (\w+)/ ", line):
            name = f"{middle}/{entry[1]}"
        elif not line.startswith("     "):
            name = ""
        if name:
            found[name] = f"{found.get(name, '')} {line}"
    return found


def test_the_map_names_the_files_that_are_there():
    named: set[str] = set()
    for name, text in entries().items():
        named |= {name} if name.endswith(".py") else {f"{name}/{file}" for file in re.findall(r"\w+\.py", text)}
    there = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if not path.name.endswith(UNNAMED)}
    assert {name for name in named if not name.endswith(UNNAMED)} == there
