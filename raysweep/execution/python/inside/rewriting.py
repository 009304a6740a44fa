"""Rewrites comparisons of tests into calls of `comparisons.compare`, and wraps functions that they iterate with."""

from __future__ import annotations

import ast

from raysweep.execution.python.inside.calls import ITERATORS

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
