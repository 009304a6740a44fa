"""Prepares tests once for all candidates that they judge: parses, compiles and analyses them, imports their modules.

A candidate and its tests have separate namespaces and copies of modules. So a candidate can't influence its verdict by
defining names that the tests define (`check`, `abs`) or by changing modules. Two exceptions are for honest programs:
tests read the names that the candidate defines, and a candidate may use the modules that its tests import.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from collections.abc import Mapping
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from raysweep.execution.isolation.kernel import freeze_type
from raysweep.execution.python.harmless import ALLOWED_TEST_MODULES
from raysweep.execution.python.inside.rewriting import refuse_skips, rewrite
from raysweep.execution.python.libraries import is_of_library, library_values
from raysweep.execution.python.outcomes import TESTS
from raysweep.execution.python.processes import names_used
from raysweep.execution.python.screen import code_objects, is_pure
from raysweep.execution.python.source_names import (
    bound_names,
    declared_names,
    imported_modules,
    single_imports,
    stated_names,
)

_BUILTINS = dict(vars(builtins))
_PRIVATE_MODULES: dict[str, ModuleType] = {}
"""Copies of modules for the tests, by name: they don't have the attributes that a candidate sets in the module."""
FROZEN: list[tuple[Mapping[str, Any], dict[str, Any]]] = []
"""Attributes of classes that were made immutable, now and then: a comparison hands programs the real dictionary."""
_INDIRECT_MODULES = frozenset({"_pytest.approx", "_pytest.python_api"})
"""Modules with classes that tests get through other modules: approximations of pytest."""
_LOOKUP_FUNCTIONS = frozenset({"eval", "exec", "globals", "locals", "vars", "dir"})
_PATCHERS = frozenset({"patch", "monkeypatch", "MonkeyPatch", "setattr"})
MAX_DEPTH = 20_000  # of nested expressions in tests
_SHARED_MODULES = frozenset({"sys", "builtins", "io", "os"})
"""Modules without private copies, since tests change them for the candidate: its stdin, its output."""


class PreparedTests(NamedTuple):
    """Tests, compiled, with the facts that decide which names they share with a candidate."""

    text: str
    guarded: CodeType  # the tests with rewritten comparisons
    pure: bool  # they leave nothing behind in their process (screen.py)
    names_read: frozenset[str]  # all names and attributes loaded, except those of built-in functions
    builtins_read: frozenset[str]  # built-in functions used at the top level; a task may ask for a function named `sum`
    names_bound: frozenset[str]  # at the top level
    libraries: Mapping[str, list[Any]]  # for names of libraries that tests don't ask a candidate for: the values there
    import_code: Mapping[str, CodeType]  # for each name that an import at the top level binds, the code that binds it
    has_imports: bool  # anywhere, in functions too
    looks_up_names: bool  # by text, as `eval` does, so that they may use any name of the candidate
    patches_modules: bool  # so that the candidate sees it: then tests and candidate share the modules
    patches_builtins: bool  # so that candidate and libraries see it: then all share the built-in functions


def prepare(text: str) -> PreparedTests:
    """Parse, compile and analyse tests, and import their modules; raise SyntaxError or ValueError for invalid ones."""
    tree = ast.parse(text)
    plain = compile(text, TESTS, "exec", dont_inherit=True)
    loaded = {name for code in code_objects(plain) for name in code.co_names}
    _import_modules(tree)
    import_code = {name: compile(module, TESTS, "exec", dont_inherit=True) for name, module in single_imports(tree)}
    targets = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    patched = {one.value.id for one in targets if isinstance(one.value, ast.Name)} & import_code.keys()
    bound = frozenset(bound_names(tree.body))
    builtin_names = _BUILTINS.keys() - stated_names(tree)
    own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & loaded - bound - builtin_names
    return PreparedTests(
        text=text,
        pure=is_pure(plain, text, ALLOWED_TEST_MODULES),
        names_read=frozenset(loaded - builtin_names),
        builtins_read=frozenset(plain.co_names) & _BUILTINS.keys(),
        names_bound=bound,
        libraries={name: library_values(name) for name in own - declared_names(tree, own) if is_of_library(name)},
        import_code=import_code,
        has_imports=any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(tree)),
        looks_up_names=bool(loaded & _LOOKUP_FUNCTIONS),
        patches_modules=bool(loaded & _PATCHERS or patched - _SHARED_MODULES),
        patches_builtins="builtins" in patched or '"builtins.' in text or "'builtins." in text,
        guarded=_compile_guarded(tree),  # last, since it changes the tree
    )


def _compile_guarded(tree: ast.Module) -> CodeType:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, MAX_DEPTH))
    try:
        return compile(rewrite(tree), TESTS, "exec", dont_inherit=True)
    finally:
        sys.setrecursionlimit(limit)


def imports_used_by(candidate: CodeType, tests: PreparedTests) -> list[tuple[str, CodeType]]:
    return [(name, tests.import_code[name]) for name in names_used(candidate, tests.import_code.keys())]


def private_builtins() -> dict[str, Any]:
    """Return built-in functions for tests: no program can change them, and imports return private copies of modules."""
    return _BUILTINS | {"__import__": _import_private}


def _import_modules(tree: ast.Module) -> None:
    """Import the modules that tests import, so that the time doesn't count for candidates, and make private copies."""
    wanted = set(imported_modules(tree)) - _SHARED_MODULES
    for name in sorted(wanted - _PRIVATE_MODULES.keys()):
        try:
            imported = importlib.import_module(name)
            if name.partition(".")[0] == "unittest":
                refuse_skips()
            _freeze_classes(imported)
            _PRIVATE_MODULES[name] = ModuleType(imported.__name__)
            vars(_PRIVATE_MODULES[name]).update(vars(imported))
            for indirect in _INDIRECT_MODULES & sys.modules.keys():
                _freeze_classes(sys.modules[indirect])
        except Exception:  # the tests will raise it again, for every program
            continue


def _freeze_classes(module: ModuleType) -> None:
    root = module.__name__.partition(".")[0]
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__.partition(".")[0] == root:
            freeze_type(value)
            FROZEN.append((value.__dict__, dict(value.__dict__)))


def _import_private(
    name: str,
    names: Mapping[str, object] | None = None,
    local: Mapping[str, object] | None = None,
    from_names: tuple[str, ...] = (),
    level: int = 0,
) -> ModuleType:
    if not level and name in _PRIVATE_MODULES and (from_names or "." not in name):
        return _PRIVATE_MODULES[name]
    imported: ModuleType = _BUILTINS["__import__"](name, names, local, from_names, level)
    return imported
