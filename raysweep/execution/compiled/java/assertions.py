"""Rewrites Java's statement `assert` so that it always throws: a program can switch it off for classes to come."""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.execution.compiled.tokens import CLOSE, OPEN, CodeToken, tokens_of

_IF, _THROW, _END = "{ if (!(", ")) throw new java.lang.AssertionError(", "); }"


def throwing(text: str) -> str:
    """Return tests in which each `assert` is an `if` that throws the same error, in the same line.

    Raises:
        UnreadableError: a comment or a string of the text has no end.
    """
    tokens = tokens_of(text, directives=False)
    changes: dict[CodeToken, str] = {}
    for index, token in enumerate(tokens):
        if (token.kind, token.text) != ("word", "assert"):
            continue
        colon, end = _colon_and_end(tokens, index + 1)
        if end is None:  # no Java
            continue
        changes[token] = _IF
        if colon is not None:
            changes[colon] = _THROW
        changes[end] = _END if colon is not None else _THROW + _END
    parts, position = [], 0
    for token in sorted(changes, key=lambda token: token.start):
        parts += [text[position : token.start], changes[token]]
        position = token.end
    return "".join([*parts, text[position:]])


def _colon_and_end(tokens: Sequence[CodeToken], start: int) -> tuple[CodeToken | None, CodeToken | None]:
    """Return the colon before an assertion's detail, if it has one, and the semicolon behind it."""
    depth = choices = 0
    colon = None
    for index in range(start, len(tokens)):
        token = tokens[index]
        if token.kind != "sign":
            continue
        depth += (token.text in OPEN) - (token.text in CLOSE)
        if depth:
            continue
        if token.text == ";":
            return colon, token
        if token.text == "?":
            choices += tokens[index - 1].text not in ("<", ",")  # of a type, as in List<?>
        elif token.text == ":" and choices:
            choices -= 1
        elif token.text == ":" and colon is None:
            colon = token
    return None, None
