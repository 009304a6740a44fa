"""Controls: programs that tests should fail. Tests that pass one check nothing, and pass whatever a model wrote."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from raysweep.execution.compiled.syntax import ENCODING, text_of, tree_of
from raysweep.programs import JAVA, PYTHON, Program
from raysweep.prompts.repair.problems import RepairProblem
from raysweep.records import Problem

if TYPE_CHECKING:
    from tree_sitter import Node

_JAVA_DEFAULTS = {"boolean_type": "false", "integral_type": "0", "floating_point_type": "0"}
_ASSERTIONS, _ENDS = ("assert", "fail"), ("raises", "exit", "_exit", "abort")
_FUNCTIONS = ("method_declaration", "function_definition")


def control_of(problem: Problem) -> Program | None:
    """Return a program that a problem's tests should fail; None if there is none.

    Of code to be repaired it is the faulty code. Else it is the reference solution whose functions do nothing: they
    return None in Python, and null, 0, false or an empty value in Java and C++.
    """
    if isinstance(problem, RepairProblem):
        return problem.assemble(problem.hunk.buggy) if problem.test else None
    if problem.reference is None:
        return None
    text = problem.assemble(problem.reference).text.removeprefix(problem.opening)
    empty = (
        _empty_python(text, problem.entry_point)
        if problem.language == PYTHON
        else _empty_compiled(text, problem.language)
    )
    return problem.program(empty) if empty else None


def unchecked_reason(problem: Problem) -> str:
    """Return why a problem's tests check nothing if its control passes them."""
    return "they pass the faulty code" if isinstance(problem, RepairProblem) else "they pass functions that do nothing"


def has_assertion(problem: Problem) -> bool:
    """Return False if nothing in a problem's tests asserts, raises or ends the program. Only Python is looked into."""
    if problem.language != PYTHON or not problem.test:
        return True
    try:
        nodes = list(ast.walk(ast.parse(problem.test)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    names = [str(getattr(function, "attr", getattr(function, "id", ""))) for function in called]
    return any(isinstance(node, ast.Assert | ast.Raise) for node in nodes) or any(
        name.startswith(_ASSERTIONS) or name in _ENDS for name in names
    )


def _empty_python(text: str, entry_point: str) -> str:
    """Return a program's text in which each function returns None; "" if it can't be parsed.

    It is empty, too, if the entry point is neither a function nor a class, such as a lambda, which would stay.
    """
    try:
        tree = ast.parse(text)
        nodes = [
            one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        ]
        if entry_point not in {node.name for node in nodes}:
            return ""
        for node in nodes:
            if not isinstance(node, ast.ClassDef):
                node.body = [ast.Return(ast.Constant(None))]
        return ast.unparse(ast.fix_missing_locations(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


def _empty_compiled(text: str, language: str) -> str:
    """Return a program's text in Java or C++ in which each function returns a default value; "" if it has none."""
    data, end, nodes = bytearray(), 0, [tree_of(text, language)]
    source = text.encode(*ENCODING)
    while nodes:
        node = nodes.pop()
        body = node.child_by_field_name("body") if node.type in _FUNCTIONS else None
        if body is None:
            nodes.extend(reversed(node.children))
        else:
            data += source[end : body.start_byte] + f"{{{_default_return(node, language)}}}".encode()
            end = body.end_byte
    return (data + source[end:]).decode(*ENCODING) if end else ""


def _default_return(function: Node, language: str) -> str:
    returned, declarator = function.child_by_field_name("type"), function.child_by_field_name("declarator")
    if returned is None:  # a constructor
        return ""
    if text_of(returned) == "void" and (declarator is None or declarator.type == "function_declarator"):
        return ""
    return f" return {_JAVA_DEFAULTS.get(returned.type, 'null') if language == JAVA else '{}'}; "
