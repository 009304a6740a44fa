"""Programs with one planted fault, for tests that judge them in two ways."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from raysweep.execution.compiled.tokens import CodeToken, tokens_of
from tests.execution.compiled.problems import reference

_OTHER = {"+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "<": ">", ">": "<", "true": "false", "false": "true"}
_PAIRS = {"==": "!=", "!=": "==", "<=": "<", ">=": ">", "&&": "||", "||": "&&", "++": "--", "+=": "-=", "-=": "+="}


Judge = Callable[[str], str]
"""Returns the outcome of a candidate; raises CompileError."""


class CompileError(Exception):
    """A text that doesn't compile."""


def outcomes(
    row: Mapping[str, str], outside: Judge, inside: Judge, *, directives: bool, count: int
) -> list[tuple[str, str]]:
    """Judge a problem's reference, which must pass, and so many mutants of it in two ways; return their outcomes."""
    assert (outside(reference(row)), inside(reference(row))) == ("passed", "passed"), row["task_id"]
    found = []
    for body in mutants(row["canonical_solution"], directives=directives, count=count):
        found.append((_outcome(outside, row["prompt"] + body), _outcome(inside, row["prompt"] + body)))
        if found[-1][0] != found[-1][1]:
            print(row["task_id"], found[-1], body)
    return found


def _outcome(judge: Judge, text: str) -> str:
    try:
        return judge(text)
    except CompileError:
        return "compile error"


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
