"""What reading patches takes of code: braces, comments, and hunks that are equal but for layout.

Braces and comment marks in strings, characters and comments don't count. clm, whose way of reading a patch this is,
counts them (https://github.com/lin-tan/clm).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from raysweep.programs import PYTHON
from raysweep.prompts.repair.python_tokens import words_of_python

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
_HEADING = re.compile(
    r"(?P<name>\w+)\s*\((?:[^()]|\([^()]*\))*\)\s*(?:throws\s[\w.,\s]+|(?:(?:const|noexcept|override|final)\s*)+)?$"
)
_NO_HEADING_OF_CPP = re.compile(r"^[ \t]*(?:#[^\n]*|(?:public|protected|private)[ \t]*:(?!:))", re.MULTILINE)
"""Directives and labels of C++, which stand before a function and are none of its heading; Java has neither."""
_NO_NAMES = {"if", "for", "while", "switch", "catch", "try", "synchronized"}
_NO_HEADING = re.compile(r"\b(?:new|record)\s+[\w.<>,\s]*$")
"""What stands before a name with parentheses that is a class's: an anonymous one's, or a record's."""


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
    return re.sub(r"^[ \t]*(?:\0[ \t]*)+\n|[ \t]*\0", "", bare, flags=re.MULTILINE)


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
    kept = _OF_JAVA.sub(lambda piece: piece[0] if piece["comment"] else _BLANK.sub(_escaped, piece[0]), code)
    return tuple(without_comments(kept, language).split())


def _escaped(blank: re.Match[str]) -> str:
    return f"\\{ord(blank[0]):x};"


def methods_of(code: str) -> list[MethodSpan]:
    """Return the methods and constructors of a file in Java, or the functions of one in C++, innermost first."""
    bare = _OF_JAVA.sub(lambda piece: piece[0] if piece["brace"] or piece["bracket"] else _blanked(piece), code)
    bare = _NO_HEADING_OF_CPP.sub(_blanked, bare)
    found, opened, last = [], list[tuple[int, int]](), 0
    for mark in re.finditer(r"[{};]", bare):
        if mark[0] == "{":
            opened.append((last, mark.start()))
        elif mark[0] == "}" and opened:
            begin, opens = opened.pop()
            heading = bare[begin:opens]
            if _is_heading(heading):
                first = code.rfind("\n", 0, begin + len(heading) - len(heading.lstrip())) + 1
                found.append(MethodSpan(first, opens, _end_of_line(code, mark.end())))
        last = mark.end()
    return found


def method_around(code: str, start: int, end: int) -> MethodSpan | None:
    """Return the innermost method or function, see `methods_of`, that holds what stands from `start` to `end`."""
    return next((one for one in methods_of(code) if one.begin <= start < one.end and end <= one.end), None)


def _blanked(piece: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", piece[0])


def _is_heading(text: str) -> bool:
    found = _HEADING.search(text)
    return found is not None and found["name"] not in _NO_NAMES and not _NO_HEADING.search(text, 0, found.start("name"))


def _end_of_line(code: str, at: int) -> int:
    rest = re.compile(r"[ \t]*\n").match(code, at)
    return rest.end() if rest else at
