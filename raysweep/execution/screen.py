"""Tells which programs may share a process: those whose code objects can be shown to leave nothing behind.

The screen fails closed: an instruction, a name, an attribute or an import that isn't known to be harmless sends the
program to a process of its own. What could outlast a program in its process: attributes of modules and of shared
types, registries, open files, threads, descriptors. So no imports but of pure modules, no attributes set where
something is imported, no names or attributes that begin with an underscore (but methods being defined), no way to build
such names, and none of the functions that set attributes or reach frames, modules or code.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Iterator
from types import CodeType

from raysweep.execution import harmless


def is_pure(code: CodeType, text: str, modules: frozenset[str] = harmless.MODULES) -> bool:
    """Say whether a program's code, functions and classes in it included, may share a process with others.

    Args:
        code: of the whole program, as `compile` made it.
        text: what it was made of.
        modules: what it may import.
    """
    facts: set[str] = set()
    if not all(_is_harmless(one, modules, facts) for one in code_objects(code)):
        return False
    if "import" in facts and facts & {"attribute set", "class"}:
        return False  # modules keep objects, in caches and registries, and ask their methods
    return "type" not in facts or ("class" not in facts and _only_compares_types(text))


def _only_compares_types(text: str) -> bool:
    """Say whether a program uses `type` in comparisons only, ``type(x) == int``: elsewhere it might make classes.

    It would with three arguments, and ``type(int)`` is `type` itself.
    """
    nodes = list(ast.walk(ast.parse(text)))
    compared = [side for node in nodes if isinstance(node, ast.Compare) for side in (node.left, *node.comparators)]
    asked = [side.func for side in compared if isinstance(side, ast.Call) and len(side.args) == 1 and not side.keywords]
    return all(node in asked for node in nodes if isinstance(node, ast.Name) and node.id == "type")


def code_objects(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all those nested in it."""
    waiting = [code]
    while waiting:
        found = waiting.pop()
        waiting += [constant for constant in found.co_consts if isinstance(constant, CodeType)]
        yield found


def sets_attributes(code: CodeType) -> bool:
    """Say whether code may set attributes of what it is given, `__init__` included."""
    return bool(set(code.co_code[::2]) & harmless.SETS_ATTRIBUTE) or "__init__" in code.co_names


def _is_harmless(code: CodeType, modules: frozenset[str], facts: set[str]) -> bool:
    steps, arguments = code.co_code[::2], code.co_code[1::2]
    used = set(steps)
    if (
        not used <= harmless.CODES
        or code.co_flags & harmless.COROUTINE_FLAGS
        or not all(map(_is_plain, code.co_consts))
    ):
        return False
    if (
        harmless.INTRINSIC in used
        and not {a for s, a in zip(steps, arguments, strict=True) if s == harmless.INTRINSIC} <= harmless.INTRINSICS
    ):
        return False
    if used & harmless.SETS_ATTRIBUTE:
        facts.add("attribute set")
    if used & harmless.IMPORTS:
        facts.add("import")
    if harmless.BUILD_CLASS in used:
        facts.add("class")
    if not used & harmless.IMPORTS and all(map(_is_known, code.co_names)):
        return True
    return _uses_are_harmless(code, modules, facts)


def _is_plain(constant: object) -> bool:
    """Say whether a constant can't be (part of) a name with underscores: those are reachable by text too."""
    if isinstance(constant, str):
        return (
            "__" not in constant
            or constant == "__main__"
            or (constant.count(" ") > 2 and "{" not in constant)
            or constant in harmless.METHODS
        )
    if isinstance(constant, tuple | frozenset):
        return all(map(_is_plain, constant))
    return True


def _is_known(name: str) -> bool:
    """Say whether a name is harmless however it is used."""
    if name in harmless.BUILTIN_NAMES:
        return name in harmless.BUILTINS and name not in ("type", "format")
    return not name.startswith(harmless.PREFIXES) and name not in harmless.FORBIDDEN and name != "compile"


def _uses_are_harmless(code: CodeType, modules: frozenset[str], facts: set[str]) -> bool:
    """Look at each use of a name: as a variable, as an attribute, as a module."""
    before = None
    for step in dis.get_instructions(code):
        name = step.argval
        if step.opname == "IMPORT_NAME":
            if name not in modules:
                return False
        elif step.opname in harmless.ATTRIBUTE_STEPS:
            on_text = before is not None and before.opname == "LOAD_CONST" and isinstance(before.argval, str)
            if not _is_harmless_attribute(name, step.opname, on_text):
                return False
            facts |= {"attribute set"} if name == "__init__" else set()  # of any object, anew
        elif step.opname in harmless.NAME_STEPS:
            facts |= {name} & {"type"}
            if not _is_harmless_variable(name):
                return False
        elif step.opname != "CACHE" and step.opcode in dis.hasname:
            return False
        if step.opname not in ("CACHE", "EXTENDED_ARG"):
            before = step
    return True


def _is_harmless_attribute(name: str, how: str, on_text: bool) -> bool:
    if name == "__init__":
        return how.startswith("LOAD")  # super().__init__()
    if name == "format":
        return on_text and how.startswith("LOAD")  # a built text could name attributes
    return not name.startswith(harmless.PREFIXES) and name not in harmless.FORBIDDEN


def _is_harmless_variable(name: str) -> bool:
    if name in harmless.BUILTIN_NAMES and name not in harmless.METHODS:
        return name in harmless.BUILTINS
    return not name.startswith("__") or name in harmless.METHODS or name in ("__class__", "__classdict__")
