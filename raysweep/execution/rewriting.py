"""Rewrites the tests of a program: comparisons become calls. And tells what tests bind and import."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_BOUND = (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)  # what can't stand in a function of its own
_OF_ARRAYS = ("all", "any", "mean", "sum", "tolist", "astype")
COMPARE = "compare values"
"""Name of the function that rewritten tests call: no identifier, so nothing clashes with it."""


def rewrite(tree: ast.Module) -> ast.Module:
    """Return tests with guarded comparisons; `tree` is changed."""
    rewritten: ast.Module = ast.fix_missing_locations(_Guard().visit(tree))
    return rewritten


def imports(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    """Yield the names that imports at the top of a module bind, each with the module that binds it alone."""
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in [alias for alias in statement.names if alias.name != "*"]:
                alone = ast.Import([alias]) if isinstance(statement, ast.Import) else _from(statement, alias)
                module = ast.Module([ast.copy_location(alone, statement)], [])
                yield (alias.asname or alias.name.partition(".")[0]), module


def _from(statement: ast.ImportFrom, alias: ast.alias) -> ast.ImportFrom:
    return ast.ImportFrom(statement.module, [alias], statement.level)


def bound_names(statements: list[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements at the top of a module bind."""
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            yield statement.name
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in statement.names)
        else:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id


class _Guard(ast.NodeTransformer):
    """Turns ``a == b`` into a call of COMPARE with the operators' names and the values."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Leave ``(column("a") == 3).sql`` alone: what is compared there makes something of it."""
        if isinstance(node.value, ast.Compare) and node.attr not in _OF_ARRAYS:
            super().generic_visit(node.value)
        else:
            self.generic_visit(node)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if any(isinstance(inner, _BOUND) for later in node.comparators[1:] for inner in ast.walk(later)):
            return node
        names = ast.Tuple([ast.Constant(type(one).__name__) for one in node.ops], ast.Load())
        values = ast.Tuple([node.left, node.comparators[0]], ast.Load())
        nothing = ast.arguments([], [], None, [], [], None, [])
        later = [ast.Lambda(nothing, value) for value in node.comparators[1:]]
        return ast.copy_location(ast.Call(ast.Name(COMPARE, ast.Load()), [names, values, *later], []), node)
