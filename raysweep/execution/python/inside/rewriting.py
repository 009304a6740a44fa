"""Rewrites the comparisons of tests into calls of `comparisons.compare`."""

from __future__ import annotations

import ast

_BINDING = (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)  # they mean something else inside a lambda
_ARRAY_METHODS = ("all", "any", "mean", "sum", "tolist", "astype")
COMPARE = "compare values"
"""Name of the function that rewritten tests call. It is no identifier, so no name of a program can clash with it."""


def rewrite(tree: ast.Module) -> ast.Module:
    """Replace the comparisons of tests by calls of COMPARE; changes and returns `tree`."""
    rewritten: ast.Module = ast.fix_missing_locations(_ComparisonRewriter().visit(tree))
    return rewritten


class _ComparisonRewriter(ast.NodeTransformer):
    """Replaces ``a == b`` by a call of COMPARE with the operators' names and the values."""

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
