"""Makes a prompt and a reference body of MBPP's rows {text, code, tests}, which have none, in SafeCoder's form.

The prompt is what the code does before its functions, the tested function's signature, and a docstring: the text up to
a URL, "Test examples:" and the tests. For 414 of the 427 sanitised problems that is SafeCoder's own prompt, byte for
byte; 11 of the others open another function there than the tested one, 2 lay out a constant otherwise.
The reference is the code in `ast`'s normal form, helpers inside the function, so that no stop string cuts it.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from raysweep.errors import UsageError

T = TypeVar("T")
_SIGNATURE = re.compile(r"^def\s+(\w+)\s*\([^\n]*:[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of a row. `reference`: None where the code isn't Python 3."""

    prompt: str
    entry_point: str
    reference: str | None


def made_of(text: str, code: str, tests: Sequence[str], place: str) -> Made:
    """Return the prompt and the reference body of a row.

    Args:
        text: the task in a sentence or more.
        code: the reference solution, signature included.
        tests: lines that judge.
        place: of the row, for messages.

    Raises:
        UsageError: the code defines no function.
    """
    called = "\n".join(tests)
    lines = [text.split(" https://")[0].strip(), "Test examples:", *tests]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SyntaxWarning: an invalid escape sequence
            tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return _unparsed(code, lines, called, place)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    function = _tested([(node.name, node) for node in functions], called, place)
    at = tree.body.index(function)
    before = [node for node in tree.body[:at] if not _defines(node)]
    inside = [node for node in tree.body if node is not function and node not in before]
    body = "\n".join(ast.unparse(node) for node in [*inside, *function.body])
    head = "".join(ast.unparse(node) + "\n" for node in before) + "\n\n" * bool(before)
    signature = f"def {function.name}({ast.unparse(function.args)}):"
    return Made(f"{head}{signature}\n{_docstring(lines)}", function.name, textwrap.indent(body, "    ") + "\n")


def _unparsed(code: str, lines: Sequence[str], called: str, place: str) -> Made:
    found = [(match[1], match[0].strip()) for match in _SIGNATURE.finditer(code)]
    signature = _tested(found, called, place)
    return Made(f"{signature}\n{_docstring(lines)}", next(name for name, text in found if text == signature), None)


def _tested(named: Sequence[tuple[str, T]], called: str, place: str) -> T:
    """Return the last function that the tests call, or the last of all."""
    tested = [function for name, function in named if re.search(rf"\b{name}\s*\(", called)]
    if not named:
        raise UsageError(f"{place}: `code` defines no function; remove the row")
    return (tested or [function for _, function in named])[-1]


def _defines(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def _docstring(lines: Sequence[str]) -> str:
    """Return a docstring of these lines, as they are, or escaped where Python would read them otherwise wrongly."""
    text = "\n".join(f"    {line}" for line in "\n".join(lines).split("\n"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(f'"""\n{text}\n"""')
    except (SyntaxError, ValueError):
        text = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'    """\n{text}\n    """\n'
