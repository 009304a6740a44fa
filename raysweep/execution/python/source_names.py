"""Reads from the syntax tree of tests which names they bind and ask for, and which modules they import."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Set

from raysweep.execution.python.libraries import is_of_library

BUILTINS = frozenset(vars(builtins))


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
    for node in ast.walk(tree):
        yield from _modules_of(node)


def needed_modules(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that code imports, but for those without which it goes on: ``try: ... except ImportError``."""
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if not (isinstance(node, ast.Try) and any(map(_catches_import_errors, node.handlers))):
            yield from _modules_of(node)
            nodes += ast.iter_child_nodes(node)


def _catches_import_errors(handler: ast.ExceptHandler) -> bool:
    caught = ast.walk(handler.type) if handler.type else ()
    return any(isinstance(node, ast.Name) and node.id in ("ImportError", "ModuleNotFoundError") for node in caught)


def _modules_of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module


def _bound_by(alias: ast.alias) -> str:
    return (alias.asname or alias.name).partition(".")[0]


def declared_names(tree: ast.Module, own: Set[str]) -> Set[str]:
    """Return the names that tests ask a candidate to define: a candidate's `Counter` could be anything.

    Tests in HumanEval's form name them in a call such as ``check(f)``. Other tests ask for all names that they don't
    bind, except those of libraries if there are others. A statement ``global g`` outside of functions names more.
    """
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    calls = [node.value for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    given = [one for call in calls if root_of(call.func) in defined for one in given_to(call)]
    named = {name for one in given for name in names_in(one)} & own
    return stated_names(tree) | (named or {name for name in own if not is_of_library(name)} or own)


def stated_names(tree: ast.Module) -> set[str]:
    """Return the names that statements ``global g`` outside of functions name: they are a candidate's."""
    return {name for node in tree.body if isinstance(node, ast.Global) for name in node.names}


def tasks_named_as_builtins(tree: ast.Module) -> list[str]:
    """Return the built-in function that tests call or pass on outside of functions, unless there are several.

    Types such as `set` and `bool` are left out: tests convert results with them.
    """
    outer = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    calls = [node for one in outer for node in ast.walk(one) if isinstance(node, ast.Call)]
    names = {node.id for call in calls for node in (call.func, *call.args) if isinstance(node, ast.Name)}
    found = sorted(name for name in names & BUILTINS if not isinstance(vars(builtins)[name], type))
    return found if len(found) == 1 else []


def given_to(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def names_in(node: ast.AST) -> set[str]:
    found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    patterns = [part for part in ast.walk(node) if isinstance(part, ast.MatchAs | ast.MatchStar | ast.MatchMapping)]
    captured = {part.rest if isinstance(part, ast.MatchMapping) else part.name for part in patterns}
    return found | {name for name in captured if name is not None}


def root_of(node: ast.expr) -> str:
    """Return the name that an expression like ``a.b[c].d`` begins with; "" if it begins with something else."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
