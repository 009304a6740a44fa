"""Each test that only `make test-long` runs names shorter ones, of `make test`, that hold the same claim in small."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.paths import REPO
from tests.syntax import parsed

NAMED = re.compile(r"(?:tests/)?(?:\w+/)*test_\w+(?:\.py)?")
"""Files and functions of tests, as docstrings name them."""


def is_long(node: ast.expr, names: set[str]) -> bool:
    """Whether a decorator or a value has the mark, or one of the names that stand for it.

    Where some cases are long, as the `pytest.param`s of a test, the others are in `make test`.
    """
    if isinstance(node, ast.Call):
        return is_long(node.func, names)
    if isinstance(node, ast.List | ast.Tuple):
        return any(is_long(one, names) for one in node.elts)
    return ast.unparse(node) in {"pytest.mark.long", "mark.long", *names}


def marked(path: Path) -> Iterator[tuple[ast.FunctionDef, bool]]:
    """Yield the tests of a file, each with whether it is long in all its cases."""
    tree = parsed(path)
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and is_long(node.value, names):
            names |= {ast.unparse(target) for target in node.targets}

    def tests(body: list[ast.stmt], inherited: bool) -> Iterator[tuple[ast.FunctionDef, bool]]:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                has_mark = inherited or any(is_long(one, names) for one in node.decorator_list)
                if isinstance(node, ast.ClassDef):
                    yield from tests(node.body, has_mark)
                elif node.name.startswith("test_"):
                    yield node, has_mark

    return tests(tree.body, "pytestmark" in names)


def shorter(path: Path) -> set[str]:
    """Return the names of the tests of a file that `make test` runs."""
    return {node.name for node, long in marked(path) if not long} if path.is_file() else set()


def not_held(path: Path, text: str) -> list[str]:
    """Return the names in a docstring of a long test that are no file with shorter tests, and no shorter test."""
    names = NAMED.findall(text)
    files = {one: next((at / one for at in (REPO, path.parent) if (at / one).is_file()), path / one) for one in names}
    tests = set().union(*(shorter(file) for file in (path, *files.values())))
    wrong = [one for one in names if not (shorter(files[one]) if one.endswith(".py") else one in tests)]
    return wrong if names else ["no test"]


def test_each_long_test_names_shorter_ones_that_make_test_runs():
    wrong = {}
    for path in sorted((REPO / "tests").rglob("test_*.py")):
        about = ast.get_docstring(parsed(path)) or ""
        for node, long in marked(path):
            if long and (bad := not_held(path, f"{ast.get_docstring(node) or ''}\n{about}")):
                wrong[f"{path.relative_to(REPO)}::{node.name}"] = bad
    assert not wrong, "name shorter tests of `make test` in the docstrings of the tests or of their files; these aren't"


def test_a_name_of_a_long_test_or_of_none_is_found(tmp_path):
    (tmp_path / "test_long_ones.py").write_text(
        "import pytest\nLATER = pytest.mark.long\npytestmark = [pytest.mark.ray, LATER]\ndef test_one(): ...\n"
    )
    (tmp_path / "test_some.py").write_text(
        "import pytest\n@pytest.mark.long\ndef test_more(): ...\n"
        "@pytest.mark.parametrize('n', [1, pytest.param(2, marks=pytest.mark.long)])\ndef test_few(n): ...\n"
        "@pytest.mark.long\nclass TestAll:\n    def test_all(self): ...\n"
    )
    here = tmp_path / "test_some.py"
    assert not_held(here, "In small: `test_few`, and test_some.py.") == []
    assert not_held(here, "In small.") == ["no test"]
    for wrong in ("test_long_ones.py", "test_more", "test_all", "test_none", "tests/test_none.py", "test_fe"):
        assert not_held(here, f"In small: {wrong}, and test_few.") == [wrong]
