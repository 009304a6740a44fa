"""Changes tests so that a candidate's values and errors can't leave one out.

Comparisons become calls of `comparisons.compare`. ``map(f, cases)`` would end at a StopIteration of `f`, so functions
that tests iterate with are wrapped. And unittest counts a SkipTest as no failure; that of a program becomes one.
"""

from __future__ import annotations

import ast
import functools
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from raysweep.execution.python.outcomes import TESTS, TRACEBACK

_FRAME: Any = TracebackType.__dict__["tb_frame"]  # guards.py hides it later
ITERATORS = frozenset(
    ("map", "filter", "iter", "starmap", "takewhile", "dropwhile", "filterfalse", "accumulate", "groupby")
)
"""Functions of Python and of itertools that call a function for each item, and end when it raises StopIteration."""
_BINDING = (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)  # they mean something else inside a lambda
_ARRAY_METHODS = ("all", "any", "mean", "sum", "tolist", "astype")
COMPARE, EQUAL, NOT_ENDING = "compare values", "equal values", "not ending"
"""Names of functions that rewritten tests call. They are no identifiers, so no name of a program can be one."""


def rewrite(tree: ast.Module) -> ast.Module:
    """Replace the comparisons of tests by calls of COMPARE, and ``map(f, x)`` by ``map(NOT_ENDING(f), NOT_ENDING(x))``.

    Changes and returns `tree`.
    """
    rewritten: ast.Module = ast.fix_missing_locations(_Rewriter().visit(tree))
    return rewritten


class _Rewriter(ast.NodeTransformer):
    """Replaces ``a == b`` by a call of COMPARE with the operators' names and the values."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Compare what `assertEqual` gets; wrap what functions get that call a function for each item."""
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if ast.unparse(node.func) == "self.assertEqual" and len(node.args) > 1:
            pair = ast.Call(ast.Name(EQUAL, ast.Load()), node.args[:2], [])
            node.args = [ast.copy_location(ast.Starred(pair, ast.Load()), node), *node.args[2:]]
        elif name in ITERATORS:
            node.args = [one if isinstance(one, ast.Starred) else _wrapped(one) for one in node.args]
            for keyword in node.keywords:
                keyword.value = _wrapped(keyword.value) if keyword.arg else keyword.value
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Keep the comparison in ``(column("a") == 3).sql``: its result is an object, not a truth value."""
        if isinstance(node.value, ast.Compare) and node.attr not in _ARRAY_METHODS:
            super().generic_visit(node.value)
        else:
            self.generic_visit(node)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if any(isinstance(inner, _BINDING) for later in node.comparators[1:] for inner in ast.walk(later)):
            return node
        names = ast.Tuple([ast.Constant(type(operator).__name__) for operator in node.ops], ast.Load())
        values = ast.Tuple([node.left, node.comparators[0]], ast.Load())
        no_arguments = ast.arguments([], [], None, [], [], None, [])
        later = [ast.Lambda(no_arguments, value) for value in node.comparators[1:]]
        return ast.copy_location(ast.Call(ast.Name(COMPARE, ast.Load()), [names, values, *later], []), node)


def _wrapped(value: ast.expr) -> ast.expr:
    return ast.copy_location(ast.Call(ast.Name(NOT_ENDING, ast.Load()), [value], []), value)


def not_ending(value: Any) -> Any:
    """Return a function that raises RuntimeError where `value` raises StopIteration, as generators do (PEP 479).

    What isn't a function, or can be iterated, is returned as it is.
    """
    if not callable(value) or hasattr(type(value), "__iter__"):
        return value

    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return value(*arguments, **options)
        except StopIteration as error:
            raise RuntimeError("the program raised StopIteration") from error

    return call


@functools.cache
def refuse_skips() -> None:
    """Let unittest count what a program raises to skip a test, or to end it early, as an error."""
    case, result = importlib.import_module("unittest.case"), importlib.import_module("unittest.result")
    trusted = (TESTS, __file__, contextmanager.__code__.co_filename, os.path.dirname(case.__file__ or ""))  # noqa: PTH120
    add_skip, run_part = result.TestResult.addSkip, case._Outcome.testPartExecutor

    def is_programs(error: BaseException | None) -> bool:
        traceback = TRACEBACK.__get__(error) if error else None
        while traceback is not None:
            frame: FrameType = _FRAME.__get__(traceback)
            if not frame.f_code.co_filename.startswith(trusted):
                return True
            traceback = traceback.tb_next
        return False

    def add_skip_of_tests(self: Any, test: Any, reason: str) -> None:
        if is_programs(sys.exc_info()[1]):
            self.addError(test, sys.exc_info())
        else:
            add_skip(self, test, reason)

    @contextmanager
    def run_whole_part(*given: Any, **options: Any) -> Iterator[None]:
        with run_part(*given, **options):
            try:
                yield
            except (case._ShouldStop, case.SkipTest) as error:
                if is_programs(error):
                    raise RuntimeError("the program skipped or ended a test") from error
                raise

    result.TestResult.addSkip = add_skip_of_tests
    case._Outcome.testPartExecutor = run_whole_part
