"""Each test that only `make test-long` runs names a shorter one that holds the same claim in small."""

from __future__ import annotations

import ast
import re

from tests.paths import REPO
from tests.syntax import parsed

NAMED = re.compile(r"tests/[\w/]+\.py|\btest_\w+\.py|\btests/[\w/]+|\btest_\w+")


def test_each_long_test_names_the_shorter_one():
    wrong = []
    for path in sorted((REPO / "tests").rglob("test_*.py")):
        tree = parsed(path)
        marks = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign)]
        is_long = any(mark.startswith("pytestmark") and "mark.long" in mark for mark in marks)
        module = ast.get_docstring(tree) or ""
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            marks = [ast.unparse(one) for one in node.decorator_list]
            if (
                not is_long and "pytest.mark.long" not in marks
            ):  # where some cases are long, the others are in `make test`
                continue
            named = NAMED.findall(f"{ast.get_docstring(node) or ''}\n{module}")
            text = path.read_text()
            there = [
                one for one in named if any((at / one).exists() for at in (REPO, path.parent)) or f"{one}(" in text
            ]
            if not there:
                wrong.append(f"{path.relative_to(REPO)}::{node.name}")
    assert not wrong, f"name a shorter test of `make test` in the docstrings of {wrong}"
