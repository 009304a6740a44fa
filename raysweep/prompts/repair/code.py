"""What reading patches takes of code: braces, comments, and hunks that are equal but for layout.

Braces and comment marks in strings, characters and comments don't count. clm, whose way of reading a patch this is,
counts them (https://github.com/lin-tan/clm).
"""

from __future__ import annotations

import re

from raysweep.programs import PYTHON

_TEXTS = (
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)',
    r'"(?:\\.|[^"\\\n])*"?',
    r"'(?:\\.|[^'\\\n])*'?",
)
_COMMENTS = r"//[^\n]*|/\*.*?(?:\*/|\Z)"
_OF_JAVA = re.compile(rf"(?P<comment>{_COMMENTS})|{'|'.join(_TEXTS)}|(?P<brace>[{{}}])", re.DOTALL)
_OF_PYTHON = re.compile(
    rf"(?P<comment>\#[^\n]*)|'''(?:\\.|[^\\])*?(?:'''|\Z)|{'|'.join(_TEXTS)}|(?P<brace>[{{}}])", re.DOTALL
)

_BEFORE_HEADING = re.compile(rf"(?P<end>{_COMMENTS}|[{{}};])|{'|'.join(_TEXTS)}", re.DOTALL)


def end_of_block(code: str, start: int = 0) -> int | None:
    """Return the index behind the brace that closes the first one in Java or C++; None if none opens or it stays open.

    Args:
        code: the text.
        start: where to begin.
    """
    depth = 0
    for piece in _OF_JAVA.finditer(code, start):
        if piece["brace"] == "{":
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
    return re.sub(r"^[ \t]*(?:\0[ \t]*)+\n|[ \t]*\0", "", bare, flags=re.MULTILINE)


def blanked_comments(code: str, language: str) -> str:
    """Return code without what its comments say; all lines stay."""
    pieces = _OF_PYTHON if language == PYTHON else _OF_JAVA
    return pieces.sub(lambda piece: "\n" * piece[0].count("\n") if piece["comment"] is not None else piece[0], code)


def normal(hunk: str, language: str) -> str:
    """Return a hunk without comments and with white space collapsed: equal ones are an exact match."""
    return " ".join(without_comments(hunk, language).split())


def function_around(code: str, at: int) -> tuple[int, int] | None:
    """Return where the method of a Java class that holds a position begins and ends, with whole lines.

    A method begins behind the last brace, semicolon or comment before its heading.

    Args:
        code: a file with one class, in whose braces methods lie.
        at: the position.
    """
    depth, begins, opens = 0, 0, 0
    for piece in _OF_JAVA.finditer(code):
        if piece["brace"] == "{":
            if depth == 1:
                opens = piece.start()
            depth += 1
        elif piece["brace"] == "}":
            depth -= 1
            if depth == 1:
                begins = _begin_of_heading(code, opens)
                if begins <= at < piece.end():
                    return begins, _end_of_line(code, piece.end())
    return None


def _begin_of_heading(code: str, opens: int) -> int:
    """Return the beginning of the line on which the heading of a block begins, behind anything that ends before."""
    ends = [piece.end() for piece in _BEFORE_HEADING.finditer(code, 0, opens) if piece["end"] is not None]
    last = ends[-1] if ends else 0
    heading = re.compile(r"\S").search(code, last)
    return code.rfind("\n", 0, heading.start() if heading else opens) + 1


def _end_of_line(code: str, at: int) -> int:
    """Return the index behind the line end that follows, if nothing but blanks stands before it."""
    rest = re.compile(r"[ \t]*\n").match(code, at)
    return rest.end() if rest else at
