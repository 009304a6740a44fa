"""What reading patches takes of code: braces, comments, and hunks that are equal but for layout.

Braces and comment marks in strings, characters and comments don't count. clm, whose way of reading a patch this is,
counts them (https://github.com/lin-tan/clm).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from raysweep.execution.compiled.syntax import before, tree_of
from raysweep.programs import PYTHON
from raysweep.prompts.python_tokens import words_of_python

_TEXTS = (
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)',
    r'"(?:\\.|[^"\\\n])*"?',
    r"'(?:\\.|[^'\\\n])*'?",
)
_COMMENTS = r"//[^\n]*|/\*.*?(?:\*/|\Z)"
_OF_JAVA = re.compile(rf"(?P<comment>{_COMMENTS})|{'|'.join(_TEXTS)}|(?P<brace>[{{}}])|(?P<bracket>[()])", re.DOTALL)
_OF_PYTHON = re.compile(
    rf"(?P<comment>\#[^\n]*)|'''(?:\\.|[^\\])*?(?:'''|\Z)|{'|'.join(_TEXTS)}|(?P<brace>[{{}}])", re.DOTALL
)
_BLANK = re.compile(r"\s")
_REST_OF_LINE = re.compile(r"[ \t]*\n")
_METHODS = ("method_declaration", "constructor_declaration", "function_definition")


@dataclass(frozen=True, slots=True)
class MethodSpan:
    """A method's place in a code, with whole lines. What it is called by stands between `begin` and `opens`."""

    begin: int  # where the line with its heading begins
    opens: int  # its brace
    end: int  # behind its closing brace and the line end


def end_of_block(code: str, start: int = 0) -> int | None:
    """Return the index behind the brace that closes the first one in Java or C++; None if none opens or it stays open.

    Before it opens, braces in parentheses don't count, such as those of ``@SuppressWarnings({"a", "b"})``.
    """
    depth, parentheses = 0, 0
    for piece in _OF_JAVA.finditer(code, start):
        if piece["bracket"] and not depth:
            parentheses = max(0, parentheses + (1 if piece[0] == "(" else -1))
        elif piece["brace"] == "{" and not parentheses:
            depth += 1
        elif piece["brace"] == "}" and depth:
            depth -= 1
            if depth == 0:
                return piece.end()
    return None


def without_comments(code: str, language: str) -> str:
    """Return code without its comments; lines that held nothing else go with them."""
    pieces = _OF_PYTHON if language == PYTHON else _OF_JAVA
    bare = pieces.sub(lambda piece: "\0" if piece["comment"] is not None else piece[0], code)
    return re.sub(r"^[ \t]*+(?:\0[ \t]*+)+\n|(?<![ \t])[ \t]*+\0", "", bare, flags=re.MULTILINE)


def blanked_comments(code: str, language: str) -> str:
    """Return code without what its comments say; all lines stay."""
    pieces = _OF_PYTHON if language == PYTHON else _OF_JAVA
    return pieces.sub(lambda piece: "\n" * piece[0].count("\n") if piece["comment"] is not None else piece[0], code)


def normal(code: str, language: str) -> tuple[str, ...]:
    """Return the words of a code without comments and layout: a patch whose words are the published one's is exact.

    White space in strings counts. In Python indents count too, by their depth; code in Python that can't be read is
    compared line by line.
    """
    if language == PYTHON:
        bare = without_comments(code, language)
        return words_of_python(code) or tuple(line.rstrip() for line in bare.splitlines() if line.strip())

    def without_blanks(piece: re.Match[str]) -> str:
        return piece[0] if piece["comment"] else _BLANK.sub(lambda blank: f"\\{ord(blank[0]):x};", piece[0])

    return tuple(without_comments(_OF_JAVA.sub(without_blanks, code), language).split())


def methods_of(code: str, language: str) -> list[MethodSpan]:
    """Return the methods and constructors of a file in Java, or the functions of one in C++, innermost first."""
    found, nodes, is_ascii = [], [tree_of(code, language)], code.isascii()
    for node in nodes:  # which grows
        nodes.extend(node.children)
        body = node.child_by_field_name("body")
        if node.type in _METHODS and body is not None:
            whole = node.parent if node.parent and node.parent.type == "template_declaration" else node
            places = (whole.start_byte, body.start_byte, node.end_byte)
            start, opens, end = places if is_ascii else (len(before(code, at)) for at in places)
            rest = _REST_OF_LINE.match(code, end)
            found.append(MethodSpan(code.rfind("\n", 0, start) + 1, opens, rest.end() if rest else end))
    return found[::-1]


def method_around(code: str, start: int, end: int, language: str) -> MethodSpan | None:
    """Return the innermost method or function, see `methods_of`, that holds what stands from `start` to `end`."""
    return next((one for one in methods_of(code, language) if one.begin <= start < one.end and end <= one.end), None)
