"""Tests made ready once for all the candidates that they judge: parsed, compiled, their imports done.

A candidate and its tests have namespaces of their own, so that neither what the candidate defines (its own `check`, its
own `abs`) nor what it sets in modules decides about it. They are joined as far as honest programs need it: tests see
what the candidate defined, the candidate has what the tests import.
"""

from __future__ import annotations

import ast
import builtins
import dis
import importlib
import sys
from collections.abc import Mapping
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from raysweep.execution.harmless import TEST_MODULES
from raysweep.execution.kernel import freeze_type
from raysweep.execution.rewriting import bound_names, imports, rewrite
from raysweep.execution.screen import code_objects, is_pure

PROGRAM, TESTS = "<program>", "<tests>"  # file names of their code
_BUILTINS = dict(vars(builtins))
_PRIVATE: dict[str, ModuleType] = {}
"""Copies of modules for the tests: what a candidate sets in a module isn't seen in them."""


_HIDDEN_TYPES = frozenset({"numpy.ma.core", "_pytest.approx", "_pytest.python_api"})
"""Modules whose classes come to tests through others: masked arrays, approximations."""
_LOOKS_UP = frozenset({"eval", "exec", "globals", "locals", "vars", "dir"})
_PATCHERS = frozenset({"patch", "monkeypatch", "MonkeyPatch", "setattr"})
DEEPEST = 20_000  # levels of an expression
_SHARED = frozenset({"sys", "builtins", "io", "os"})
"""Modules that tests use to change what the candidate sees: its stdin, its output."""


class Tests(NamedTuple):
    """Prepared tests.

    `needs`: names that they take from the candidate; `built_in`: names of built-in functions that they use at
    the top, which may be the candidate's too (a task may ask for a `sum`); `defines`: names that they bind themselves;
    `imports`: code that imports one name, by name.
    """

    text: str
    guarded: CodeType  # with guarded comparisons
    pure: bool
    needs: frozenset[str]
    built_in: frozenset[str]
    defines: frozenset[str]
    imports: Mapping[str, CodeType]
    imports_any: bool  # anywhere
    looks_up: bool  # names as texts, as `eval` does: any of the candidate's may be meant
    patches: bool  # modules, for the candidate to see: then they aren't private copies
    patches_builtins: bool  # for the candidate and libraries to see: then there is one instance of them


def prepare(text: str) -> Tests:
    """Parse, compile and look through tests, and import what they import.

    Raises:
        SyntaxError, ValueError: the tests aren't Python.
    """
    tree = ast.parse(text)
    plain = compile(text, TESTS, "exec", dont_inherit=True)
    loaded, defines = {name for one in code_objects(plain) for name in one.co_names}, frozenset(bound_names(tree.body))
    needs, built_in = frozenset(loaded - _BUILTINS.keys()), frozenset(plain.co_names) & _BUILTINS.keys()
    _import_all(tree)
    code = {name: compile(module, TESTS, "exec", dont_inherit=True) for name, module in imports(tree)}
    patched = _sets_attributes_of(tree) & code.keys()
    return Tests(
        text=text,
        pure=is_pure(plain, text, TEST_MODULES),
        needs=needs,
        built_in=built_in,
        defines=defines,
        imports=code,
        imports_any=any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(tree)),
        looks_up=bool(loaded & _LOOKS_UP),
        patches=bool(loaded & _PATCHERS or patched - _SHARED),
        patches_builtins="builtins" in patched or '"builtins.' in text or "'builtins." in text,
        guarded=_guarded(tree, plain),  # last: it changes the tree
    )


def _guarded(tree: ast.Module, plain: CodeType) -> CodeType:
    """Return tests with guarded comparisons; those that are too deep for that stay `plain`."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, DEEPEST))
    try:
        return compile(rewrite(tree), TESTS, "exec", dont_inherit=True)
    except RecursionError:
        return plain
    finally:
        sys.setrecursionlimit(limit)


def _sets_attributes_of(tree: ast.Module) -> set[str]:
    """Return the names of what tests set attributes of, as in ``random.randint = ...``."""
    targets = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    return {target.value.id for target in targets if isinstance(target.value, ast.Name)}


def lent_imports(candidate: CodeType, tests: Tests) -> list[tuple[str, CodeType]]:
    """Return the imports of the tests that a candidate relies on: it loads the name and doesn't bind it at its top."""
    if not tests.imports:
        return []
    loaded = {name for code in code_objects(candidate) for name in code.co_names}
    asked = loaded & tests.imports.keys() - _BUILTINS.keys()
    lent = asked - _stored(candidate) if asked else asked  # looking through instructions takes a millisecond
    return [(name, tests.imports[name]) for name in sorted(lent)]


def private_builtins() -> dict[str, Any]:
    """Return builtins that no program can change, whose imports give the private copies of modules."""
    return _BUILTINS | {"__import__": _import_private}


def _stored(code: CodeType) -> set[str]:
    """Return the names that a module's code may bind (loads of the same names don't matter here)."""
    return {step.argval for step in dis.get_instructions(code) if step.opname in ("STORE_NAME", "STORE_GLOBAL")}


def _import_all(tree: ast.Module) -> None:
    """Import the modules that tests name, so that no candidate pays for it: they are trusted."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
        for name in [name for name in names if name not in _PRIVATE and name not in _SHARED]:
            try:
                _PRIVATE[name] = _frozen_copy(importlib.import_module(name))
                if name == "numpy":
                    importlib.import_module("numpy.ma")  # which it loads late, and then masked arrays were not known
                for hidden in _HIDDEN_TYPES & sys.modules.keys():
                    _freeze_classes(sys.modules[hidden])
            except Exception:  # the tests will say so, in every program
                continue


def _frozen_copy(module: ModuleType) -> ModuleType:
    """Return a copy of a module, whose own classes nobody can change from now on."""
    copied = ModuleType(module.__name__)
    vars(copied).update(vars(module))
    _freeze_classes(module)
    return copied


def _freeze_classes(module: ModuleType) -> None:
    root = module.__name__.partition(".")[0]
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__.partition(".")[0] == root:
            freeze_type(value)


def _import_private(
    name: str,
    names: Mapping[str, object] | None = None,
    local: Mapping[str, object] | None = None,
    wanted: tuple[str, ...] = (),
    level: int = 0,
) -> ModuleType:
    if not level and name in _PRIVATE and (wanted or "." not in name):
        return _PRIVATE[name]
    imported: ModuleType = _BUILTINS["__import__"](name, names, local, wanted, level)
    return imported
