"""The tokens of code in Python with their places, as far as it can be read.

A model's answer may break off or be no Python. What stands before the place where it can't be read is certain.
"""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

_LAYOUT = frozenset({tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE, tokenize.ENDMARKER})
_NO_CODE = frozenset({tokenize.COMMENT, tokenize.NL})
"""Comments, and ends of lines that end no statement."""
_BETWEEN = _NO_CODE | {tokenize.INDENT, tokenize.DEDENT}


@dataclass(frozen=True, slots=True)
class PythonToken:
    """A token and its place: indexes of its first character and of that behind it."""

    kind: int  # of `tokenize`
    text: str
    start: int
    end: int
    is_first: bool  # of a statement


def python_tokens(code: str) -> tuple[list[PythonToken], bool]:
    """Return the tokens of a code, and whether they are all; else those before the place that can't be read."""
    tokens: list[PythonToken] = []
    try:
        tokens.extend(_read(code))
    except (tokenize.TokenError, SyntaxError, ValueError):
        return tokens, False
    return tokens, True


def _read(code: str) -> Iterator[PythonToken]:
    lines = list(accumulate((len(line) + 1 for line in code.split("\n")), initial=0))
    is_first = True
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        (row, column), (last_row, last_column) = token.start, token.end
        begins = is_first and token.type not in _BETWEEN
        yield PythonToken(token.type, token.string, lines[row - 1] + column, lines[last_row - 1] + last_column, begins)
        is_first = token.type == tokenize.NEWLINE or (is_first and token.type in _BETWEEN)


def words_of_python(code: str) -> tuple[str, ...] | None:
    """Return what counts of a code: its tokens but comments, with indents by their depth; None: it can't be read."""
    tokens, are_all = python_tokens(code)
    if not are_all:
        return None
    counted = (token for token in tokens if token.kind not in _NO_CODE)
    return tuple(f"\n{token.kind}" if token.kind in _LAYOUT else token.text for token in counted)


def statement_at_margin(code: str, start: int) -> int | None:
    """Return where the first statement without an indent begins at or behind an index; None if there is none.

    Lines of a string or in brackets begin no statement, wherever they stand.
    """
    firsts = (token for token in python_tokens(code)[0] if token.is_first and token.kind != tokenize.ENDMARKER)
    at_margin = (token.start for token in firsts if not token.start or code[token.start - 1] == "\n")
    return next((at for at in at_margin if at >= start), None)
