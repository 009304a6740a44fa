"""Reads what stands beside a candidate's calls in tests: it tells right answers that the answers themselves don't.

``assert f(2) in (4, -4)`` takes -4 too, and ``assert abs(f(2) - 4) < 1e-6`` takes 4 where the right program answered
4.0000001. So the values of the expressions beside a call are found when it is called (batches.py uses them). What
stands on the other side of ``f(2) == x`` needs no look, since it equals the answer.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from types import CodeType, FrameType
from typing import Any

from raysweep.execution.python.outcomes import TESTS
from raysweep.execution.python.outside.kinds import plain_data
from raysweep.execution.python.source_names import root_of

Beside = Mapping[int, Sequence[CodeType]]
"""For each line of tests with calls of a candidate, expressions that give the values beside them."""
_PLAIN = (
    ast.Constant, ast.Name, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.UnaryOp, ast.BinOp, ast.Subscript, ast.Slice,
    ast.Attribute, ast.Load, ast.operator, ast.unaryop,
)  # fmt: skip
"""What an expression may consist of that is computed a second time: no call, so that nothing happens by it."""
_CONTAINERS = (list, tuple, set, frozenset, dict, deque, str, bytes)
MAX_BESIDE = 10_000
"""Values beside a program's calls. Tests with more of them ask call by call."""


def beside_calls(tree: ast.Module, candidates: Set[str]) -> Beside:
    """Return the expressions beside the calls of candidates, whose names are given, by the lines of the calls.

    An answer that gets a name, as in ``result = f(2)``, has beside it what the name is compared with.
    """
    found: dict[int, list[CodeType]] = {}
    named: dict[str, list[range]] = {}  # the lines of the statements that give an answer this name
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.stmt):
            continue
        parts = [part for part in ast.iter_child_nodes(statement) if isinstance(part, ast.expr)]
        parts = parts[:1] if isinstance(statement, ast.Assert) else parts  # without its message
        if not any(_is_call(node, candidates) for part in parts for node in ast.walk(part)):
            continue
        lines = range(statement.lineno, max(part.end_lineno or 0 for part in parts) + 1)
        _add(found, lines, [value for part in parts for value in _values_in(part, candidates)])
        for node in (node for part in parts for node in ast.walk(part)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                named.setdefault(node.id, []).append(lines)
    for compared in [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]:
        names = {node.id for node in ast.walk(compared) if isinstance(node, ast.Name)} & named.keys()
        values = list(_values_in(compared, candidates, names)) if names else []
        for lines in (lines for name in names for lines in named[name]):
            _add(found, lines, values)
    return found


def _add(found: dict[int, list[CodeType]], lines: range, values: Sequence[ast.expr]) -> None:
    codes = [
        compile(ast.fix_missing_locations(ast.Expression(value)), TESTS, "eval", dont_inherit=True) for value in values
    ]
    for line in lines:
        found.setdefault(line, []).extend(codes)


def values_beside(frame: FrameType | None, beside: Beside) -> Iterator[Any]:
    """Yield the values beside a call as plain data, from the frame that made it and those below it.

    What is searched with ``in`` gives its items if it is one of Python's containers: items of an iterator would be
    missing in the tests, and a range may have any number. What has no plain form is left out.
    """
    while frame is not None:
        if frame.f_code.co_filename == TESTS:
            for code in beside.get(frame.f_lineno, ()):
                values: Any = ()
                with suppress(Exception):  # such as a name that the expression itself binds
                    values = eval(code, frame.f_globals, frame.f_locals)
                for value in values if isinstance(values, _CONTAINERS) else ():
                    with suppress(Exception):
                        yield plain_data().write(value)
        frame = frame.f_back


def _is_call(node: ast.AST, candidates: Set[str]) -> bool:
    return isinstance(node, ast.Call) and root_of(node.func) in candidates


def _values_in(node: ast.AST, candidates: Set[str], answers: Set[str] = frozenset()) -> Iterator[ast.expr]:
    """Yield expressions for lists of the values in an expression, or in a part of it.

    Left out are what a candidate gets, and what isn't compared: positions, digits to round to, what is looped over.
    `candidates`: names of functions whose calls are answers. `answers`: names of answers.
    """

    def is_answer(node: ast.AST) -> bool:
        return _is_call(node, candidates) or (isinstance(node, ast.Name) and node.id in answers)

    def is_plain(node: ast.AST) -> bool:
        return all(isinstance(part, _PLAIN) and not is_answer(part) for part in ast.walk(node))

    is_target = not isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
    if is_target or is_answer(node) or isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.expr) and is_plain(node):
        yield ast.List([node], ast.Load())
        return
    parts: Sequence[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        right = node.comparators[0]
        if isinstance(node.ops[0], ast.Eq) and (is_answer(node.left) or is_answer(right)):
            return
        if isinstance(node.ops[0], ast.In | ast.NotIn) and is_plain(right):
            yield right
            parts = [node.left]
    elif isinstance(node, ast.Subscript):
        parts = [node.value]
    elif isinstance(node, ast.Call):
        parts = node.args[:1] if root_of(node.func) == "round" else [*node.args, *node.keywords]
    for part in parts:
        if not isinstance(part, ast.comprehension) or any(map(is_answer, ast.walk(part.iter))):
            yield from _values_in(part, candidates, answers)
