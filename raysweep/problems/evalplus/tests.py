"""Writes the tests of a task: its reference, its inputs in two parts, and EvalPlus's comparison, as one Python text.

The tests call the candidate with fresh copies of plain data only. Expected results are the reference's, computed while
the tests run. All names are private, and the reference with its helpers stands inside a function, so that a candidate's
names can't meet them.

`PARTS_PASSED` holds the names of the parts that have passed so far, the base inputs before the further ones. A judge
reads it from the tests' globals when they have ended, whether or not they passed.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import json
import math
from collections.abc import Mapping
from functools import cache
from types import CodeType
from typing import Any

from raysweep.errors import UsageError
from raysweep.problems.evalplus import oracle
from raysweep.problems.evalplus.tasks import EvalPlusTask

RULES: Mapping[str, str] = {
    "HumanEval/32": "root",  # any root of the polynomial is right
    "Mbpp/737": "not None",
    "Mbpp/787": "not None",
    "Mbpp/794": "not None",
    "Mbpp/2": "same elements",
    "Mbpp/7": "same elements",
    "Mbpp/111": "same elements",
    "Mbpp/140": "same elements",
    "Mbpp/232": "same elements",
    "Mbpp/249": "same elements",
    "Mbpp/579": "same elements",
    "Mbpp/769": "same elements",
    "Mbpp/558": "padded digits",
    "Mbpp/581": "pyramid",
}
"""The tasks whose results EvalPlus judges by a rule of their own; see `oracle._agrees`."""
_TEXT = """\
PARTS_PASSED = []
{bindings}{oracle}

{reference}

{inputs}


def _check(candidate):
    for part, inputs in (("base", _BASE), ("plus", _PLUS)):
        tolerance = {tolerance}
        for number, arguments in enumerate(inputs):
            result = candidate(*_fresh(arguments))
            expected = _reference(*_fresh(arguments))
            assert _agrees({rule!r}, result, expected, _fresh(arguments), tolerance), (part, number)
            tolerance = _tolerance_after({rule!r}, expected, tolerance)
        PARTS_PASSED.append(part)


_check({entry_point})
"""


def tests_of(task: EvalPlusTask) -> str:
    """Return the tests of a task, which call its entry point; raise UsageError if its reference doesn't parse."""
    fields = {
        "oracle": _oracle_text(),
        "reference": _reference_text(task),
        "inputs": _inputs_text(task),
        "tolerance": task.tolerance,
        "rule": RULES.get(task.task_id, ""),
        "entry_point": task.entry_point,
    }
    text = _TEXT.format(bindings="", **fields)
    if not hasattr(builtins, task.entry_point):
        return text
    return _TEXT.format(bindings=_bindings(text), **fields)


def _bindings(text: str) -> str:
    """Return a line that binds all names which tests load, for a task that asks for a function named as a built-in one.

    A judge gives tests a candidate's `sum` only if the candidate defines no other name that they read and don't bind,
    such as a module which both import.
    """
    codes, names = [compile(text, "<tests>", "exec", dont_inherit=True)], set()
    while codes:
        code = codes.pop()
        names |= set(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    bound = sorted(name for name in names if name.isidentifier() and not hasattr(builtins, name))
    return "".join(f"{name} = " for name in bound if name != "PARTS_PASSED") + "None\n"


@cache
def _oracle_text() -> str:
    return ast.unparse(_without_docstrings(ast.parse(inspect.getsource(oracle))))


def _reference_text(task: EvalPlusTask) -> str:
    """Return code that binds `_reference` to the reference solution, whose own names stay inside a function."""
    try:
        tree = _without_docstrings(ast.parse(task.prompt + task.reference))
    except (SyntaxError, ValueError) as error:
        raise UsageError(
            f"{task.place}: the reference solution does not parse ({error}); take the file again"
        ) from None
    body = [*tree.body, ast.Return(ast.Name(task.entry_point, ast.Load()))]
    no_arguments = ast.arguments([], [], None, [], [], None, [])
    function = ast.FunctionDef("_make_reference", no_arguments, body, [])
    return ast.unparse(ast.fix_missing_locations(function)) + "\n_reference = _make_reference()"


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _inputs_text(task: EvalPlusTask) -> str:
    """Return code that binds `_BASE` and `_PLUS`: JSON, which is parsed fast, or literals where JSON lacks a type."""
    parts = {"_BASE": task.base, "_PLUS": task.plus}
    texts = {name: json.dumps(part, default=lambda value: None) for name, part in parts.items()}
    if all(repr(json.loads(texts[name])) == repr(part) for name, part in parts.items()):
        return "\n".join(["import json as _json", *(f"{n} = _json.loads({text!r})" for n, text in texts.items())])
    return "\n".join(f"{name} = {_literal(part)}" for name, part in parts.items())


def _literal(value: Any) -> str:
    """Return an expression for plain data; `repr` has none for infinities, and loses the sign of a complex zero."""
    if isinstance(value, complex):
        return f"complex({_literal(value.real)}, {_literal(value.imag)})"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    if not isinstance(value, list | tuple | set):
        return repr(value)
    items = ", ".join(map(_literal, value))
    return f"[{items}]" if isinstance(value, list) else f"{type(value).__name__}([{items}])"
