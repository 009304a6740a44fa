"""The screen: decides from a program's code objects whether it leaves nothing behind and may share a process.

The screen fails closed: an instruction, name, attribute or import that isn't in the allow-list (harmless.py) sends the
program to a process of its own. A program could leave changed attributes of modules and shared types, entries in
registries, open files, threads and descriptors. So a pure program

- imports only modules that keep no state, and if it imports any, sets no attributes and defines no classes;
- uses no names or attributes that begin with an underscore, except methods that it defines, nor text that could build
  such names;
- uses no functions that set attributes or reach frames, modules or code.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Iterator
from types import CodeType

from raysweep.execution.python import harmless


def is_pure(code: CodeType, text: str, modules: frozenset[str] = harmless.ALLOWED_MODULES) -> bool:
    """Return True if a program may share a process with others. `modules`: those that it may import."""
    facts: set[str] = set()
    if not all(_is_harmless(part, modules, facts) for part in code_objects(code)):
        return False
    if "import" in facts and facts & {"attribute set", "class"}:
        return False  # modules keep objects in caches and registries, and call their methods later
    return "type" not in facts or ("class" not in facts and _only_compares_types(text))


def _only_compares_types(text: str) -> bool:
    """Return True if a program uses `type` only in comparisons, as in ``type(x) == int``.

    Elsewhere it could make classes: `type` with three arguments does, and ``type(int)`` is `type` itself.
    """
    nodes = list(ast.walk(ast.parse(text)))
    compared = [side for node in nodes if isinstance(node, ast.Compare) for side in (node.left, *node.comparators)]
    calls = [side.func for side in compared if isinstance(side, ast.Call) and len(side.args) == 1 and not side.keywords]
    return all(node in calls for node in nodes if isinstance(node, ast.Name) and node.id == "type")


def code_objects(code: CodeType) -> Iterator[CodeType]:
    waiting = [code]
    while waiting:
        part = waiting.pop()
        waiting += [constant for constant in part.co_consts if isinstance(constant, CodeType)]
        yield part


def stored_names(code: CodeType) -> set[str]:
    return {step.argval for step in dis.get_instructions(code) if step.opname in ("STORE_NAME", "STORE_GLOBAL")}


def _is_harmless(code: CodeType, modules: frozenset[str], facts: set[str]) -> bool:
    """Check one code object; add to `facts` which of "import", "attribute set", "class" and "type" it has."""
    steps, arguments = code.co_code[::2], code.co_code[1::2]
    used = set(steps)
    if (
        not used <= harmless.ALLOWED_OPCODES
        or code.co_flags & harmless.COROUTINE_FLAGS
        or not all(map(_is_harmless_constant, code.co_consts))
    ):
        return False
    if (
        harmless.CALL_INTRINSIC in used
        and not {argument for step, argument in zip(steps, arguments, strict=True) if step == harmless.CALL_INTRINSIC}
        <= harmless.ALLOWED_INTRINSICS
    ):
        return False
    if used & harmless.SET_ATTRIBUTE:
        facts.add("attribute set")
    if used & harmless.IMPORT:
        facts.add("import")
    if harmless.BUILD_CLASS in used:
        facts.add("class")
    if not used & harmless.IMPORT and all(map(_is_always_harmless, code.co_names)):
        return True
    return _uses_are_harmless(code, modules, facts)


def _is_harmless_constant(constant: object) -> bool:
    """Return True if a constant can't be (part of) a name with underscores, by which text can reach attributes."""
    if isinstance(constant, str):
        return (
            "__" not in constant
            or constant == "__main__"
            or (constant.count(" ") > 2 and "{" not in constant)
            or constant in harmless.ALLOWED_DUNDERS
        )
    if isinstance(constant, tuple | frozenset):
        return all(map(_is_harmless_constant, constant))
    return True


def _is_always_harmless(name: str) -> bool:
    if name in harmless.ALL_BUILTINS:
        return name in harmless.ALLOWED_BUILTINS and name not in ("type", "format")
    return (
        not name.startswith(harmless.FORBIDDEN_PREFIXES) and name not in harmless.FORBIDDEN_NAMES and name != "compile"
    )


def _uses_are_harmless(code: CodeType, modules: frozenset[str], facts: set[str]) -> bool:
    before = None
    for step in dis.get_instructions(code):
        name = step.argval
        if step.opname == "IMPORT_NAME":
            if name not in modules:
                return False
        elif step.opname in harmless.ATTRIBUTE_OPCODES:
            on_text = before is not None and before.opname == "LOAD_CONST" and isinstance(before.argval, str)
            if not _is_harmless_attribute(name, step.opname, on_text):
                return False
            # `__init__` of an existing object sets its attributes again
            facts |= {"attribute set"} if name == "__init__" else set()
        elif step.opname in harmless.VARIABLE_OPCODES:
            facts |= {name} & {"type"}
            if not _is_harmless_variable(name):
                return False
        elif step.opname != "CACHE" and step.opcode in dis.hasname:
            return False
        if step.opname not in ("CACHE", "EXTENDED_ARG"):
            before = step
    return True


def _is_harmless_attribute(name: str, opcode: str, on_text: bool) -> bool:
    if name == "__init__":
        return opcode.startswith("LOAD")  # super().__init__()
    if name == "format":
        return on_text and opcode.startswith("LOAD")  # a text that the program builds could name attributes
    return not name.startswith(harmless.FORBIDDEN_PREFIXES) and name not in harmless.FORBIDDEN_NAMES


def _is_harmless_variable(name: str) -> bool:
    if name in harmless.ALL_BUILTINS and name not in harmless.ALLOWED_DUNDERS:
        return name in harmless.ALLOWED_BUILTINS
    return not name.startswith("__") or name in harmless.ALLOWED_DUNDERS or name in ("__class__", "__classdict__")
