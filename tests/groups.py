"""Which tests run one after another in one process: those of a file, and three groups with Ray.

They are those that share the session's Ray, those that start one of their own, and chaos with one more that does. So at
most three Rays run at a time, and the tests of a file share its fixtures. What distributes tests knows nothing but
their ids; marks are read from the source.
"""

from __future__ import annotations

import ast
import re
from functools import cache

from tests.paths import REPO
from tests.syntax import parsed

MARK = re.compile(r"mark\.(chaos|ray)\b|xdist_group\('(\w+)'\)")


def group_of(nodeid: str) -> str:
    """Return the group of a test: chaos, own_ray, ray, or its file."""
    file, _, name = nodeid.partition("::")
    marks = _marks(file)
    return marks.get(name.partition("[")[0]) or marks.get("") or file


@cache
def _marks(file: str) -> dict[str, str]:
    """Return the groups that marks of a file name, by test; that of the whole file under the empty name."""
    marks: dict[str, str] = {}
    for node in parsed(REPO / file).body:
        if isinstance(node, ast.FunctionDef):
            name, parts = node.name, [ast.unparse(one) for one in node.decorator_list]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            name, parts = "", [ast.unparse(node.value)]
        else:
            continue
        named = {found[1] or found[2] for part in parts for found in MARK.finditer(part)}
        if named:
            marks[name] = min(named)  # chaos before own_ray before ray
    return marks
