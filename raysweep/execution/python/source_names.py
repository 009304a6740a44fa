"""Reads from the syntax tree of tests which names they bind, and which modules they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def single_imports(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    """Yield each name that an import at the top level binds, with a module that consists of this import alone."""
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in [alias for alias in statement.names if alias.name != "*"]:
                single: ast.Import | ast.ImportFrom = ast.Import([alias])
                if isinstance(statement, ast.ImportFrom):
                    single = ast.ImportFrom(statement.module, [alias], statement.level)
                module = ast.Module([ast.copy_location(single, statement)], [])
                yield _bound_by(alias), module


def bound_names(statements: list[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements at the top level bind."""
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            yield statement.name
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from map(_bound_by, statement.names)
        else:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id


def imported_names(tree: ast.Module, *, modules_only: bool = False) -> set[str]:
    """Return the names that imports anywhere bind; `modules_only`: leave out those of ``from module import name``."""
    kinds = (ast.Import,) if modules_only else (ast.Import, ast.ImportFrom)
    return {_bound_by(alias) for node in ast.walk(tree) if isinstance(node, kinds) for alias in node.names}


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that imports anywhere name, relative ones left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _bound_by(alias: ast.alias) -> str:
    return (alias.asname or alias.name).partition(".")[0]
