"""Tokens of C++ and Java: what reading a declaration takes, with comments, strings and directives told apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raysweep.execution.compiled.syntax import UnreadableError

_CONTINUED = r"\\[ \t\f\v\r\0]*\n"
"""The end of a line that C++ goes on with the next one: blanks behind the backslash don't count, says g++."""


_BLOCK_COMMENT = r"/\*.*?\*/"


def _token(comment: str, own_string: str, opening: str) -> re.Pattern[str]:
    """Return the pattern of a token.

    `comment`: the pattern of a comment to the end of the line. `own_string`: of the strings that only this language
    has. `opening`: of the beginning of such a string.
    """
    return re.compile(
        rf"""
        (?P<space>\s+)
      | (?P<comment>{comment}|{_BLOCK_COMMENT})
      | (?P<string>{own_string}|(?:u8|[LuU])?"(?:\\.|[^"\\\n])*")
      | (?P<endless>/\*|{opening})
      | (?P<character>(?:u8|[LuU])?'(?:\\.|[^'\\\n])+')
      | (?P<number>\.?[0-9](?:[eEpP][+-]|'[0-9a-zA-Z]|[\w.])*)
      | (?P<word>[^\W\d][\w$]*|\$[\w$]*)
      | (?P<sign>::|->|[^\w\s"'])
        """,
        re.VERBOSE | re.DOTALL,
    )


_COMMENT = rf"//(?:{_CONTINUED}|[^\n])*"
_RAW_START = r'(?:u8|[LuU])?R"(?P<mark>[^\s()\\]{0,16})\('
_CPP_TOKEN = _token(_COMMENT, rf'{_RAW_START}.*?\)(?P=mark)"', _RAW_START.replace("?P<mark>", "?:"))
_JAVA_TOKEN = _token(r"//[^\n]*", r'"""(?:\\.|[^\\])*?"""', '"""')
_DIRECTIVE = re.compile(rf"[ \t]*\#(?:{_COMMENT}|{_CONTINUED}|{_BLOCK_COMMENT}|/(?!\*)|[^\n/])*", re.DOTALL)
OPEN, CLOSE = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class CodeToken:
    """A token and where it stands in the text."""

    kind: str  # string, character, number, word, sign or directive
    text: str
    start: int
    end: int


def tokens_of(text: str, *, directives: bool) -> list[CodeToken]:
    """Return the tokens of a text, or of the beginning of one, without its comments.

    Raises UnreadableError for a comment or string that has no end, or a character that begins no token. `directives`:
    the text is C++, where a line that begins with ``#`` is one token, and a backslash at its end makes a comment go on.
    """
    return list(each_token(text, directives=directives))


def each_token(text: str, *, directives: bool) -> Iterator[CodeToken]:
    pattern = _CPP_TOKEN if directives else _JAVA_TOKEN
    position = 0
    begins_line = True
    while position < len(text):
        if directives and begins_line and (line := _DIRECTIVE.match(text, position)):
            yield CodeToken("directive", line[0].strip(), position, line.end())
            position, begins_line = line.end(), True
            continue
        match = pattern.match(text, position)
        if match is None or match.lastgroup == "endless":  # the text is searched for an end no second time
            number = text.count("\n", 0, position) + 1
            raise UnreadableError(f"can't be read from line {number} on: {text[position : position + 20]!r}")
        kind = match.lastgroup or ""
        if kind == "space":
            begins_line = begins_line or "\n" in match[0]
        elif kind != "comment":
            yield CodeToken(kind, match[0], position, match.end())
            begins_line = False
        position = match.end()


def closing(tokens: Sequence[CodeToken], start: int) -> int | None:
    """Return the index of the bracket that closes the one at `start`; raise UnreadableError if brackets cross."""
    expected: list[str] = []
    for index in range(start, len(tokens)):
        token = tokens[index]
        if token.kind != "sign":
            continue
        if token.text in OPEN:
            expected.append(CLOSE[OPEN.index(token.text)])
        elif token.text in CLOSE:
            if not expected or expected.pop() != token.text:
                raise UnreadableError(f"has a {token.text!r} that closes nothing")
            if not expected:
                return index
    return None
