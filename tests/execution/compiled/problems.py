"""HumanEval-X's rows, and mutants of their solutions, for tests of compiled languages."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Mapping

from raysweep.execution.compiled.tokens import CodeToken, tokens_of
from raysweep.programs import Program
from tests.conftest import shared_data


def rows(language: str) -> list[dict[str, str]]:
    """Return the published problems in order; skip the test where the data are absent."""
    with gzip.open(shared_data("humaneval_x", f"humaneval_{language}.jsonl.gz"), "rt") as file:
        return [json.loads(line) for line in file]


def reference(row: Mapping[str, str]) -> str:
    """Return a problem's reference solution as a candidate."""
    return row["prompt"] + row["canonical_solution"]


def references_and_mutants(of: list[dict[str, str]], language: str, each: int, most: int) -> list[Program]:
    """Return the references of problems, then their mutants, so many of each problem and so many in all at most."""
    texts = [
        (row, row["prompt"] + body)
        for row in of
        for body in mutants(row["canonical_solution"], directives=language == "cpp", count=each)
    ]
    chosen = [(row, reference(row)) for row in of] + random.Random(0).sample(texts, min(most, len(texts)))
    return [Program(text, row["test"], language, None, row["declaration"]) for row, text in chosen]


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
