"""Programs with one planted fault, for tests that judge them in two ways."""

from __future__ import annotations

import random

from raysweep.execution.compiled.tokens import CodeToken, tokens_of

_OTHER = {"+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "<": ">", ">": "<", "true": "false", "false": "true"}
_PAIRS = {"==": "!=", "!=": "==", "<=": "<", ">=": ">", "&&": "||", "||": "&&", "++": "--", "+=": "-=", "-=": "+="}


def mutants(text: str, *, directives: bool, count: int) -> list[str]:
    """Return at most so many texts that differ from a text in one operator or number, always the same ones.

    Angle brackets without a space before them are left alone: they may enclose types.
    """
    edits = _edits(text, tokens_of(text, directives=directives))
    chosen = random.Random(0).sample(edits, min(count, len(edits)))
    return [f"{text[:start]}{new}{text[end:]}" for start, end, new in chosen]


def _edits(text: str, tokens: list[CodeToken]) -> list[tuple[int, int, str]]:
    found = []
    skipped = -1
    for token in tokens:
        two = text[token.start : token.start + 2]
        if token.start == skipped or two == "->":
            continue
        if token.kind == "sign" and two in _PAIRS:
            found.append((token.start, token.start + 2, _PAIRS[two]))
            skipped = token.start + 1
        elif token.text in _OTHER and not (token.text in "<>" and text[token.start - 1] != " "):
            found.append((token.start, token.end, _OTHER[token.text]))
        elif token.kind == "number" and token.text.isdigit():
            found.append((token.start, token.end, str(int(token.text) + 1)))
    return found
