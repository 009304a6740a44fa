"""docs/map.md: it names every file of the package, as the docstrings describe them."""

from __future__ import annotations

import re

from tests.map import MAP, PACKAGE, written


def test_the_map_is_the_one_that_the_docstrings_give():
    assert MAP.read_text(encoding="utf-8") == written(), "`python -m tests.map` writes it anew"


def test_the_map_names_the_files_that_are_there():
    listed, folder = set(), ""
    for line in MAP.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"## ([\w/]+)$", line):
            folder = f"{heading[1]}/"
        elif entry := re.match(r"\| `(\w+\.py)` \| .", line):
            listed.add(folder + entry[1])
    there = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    there = {name for name in there if not name.rpartition("/")[2].startswith("__")}
    assert listed == there, "give each file a line in its folder's docstring, then run `python -m tests.map`"
