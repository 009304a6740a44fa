"""Finds the data in natural language: quoted literals, lists and sets, formulas, indices, grades and one-letter names.

They are no English words, so word and sentence methods leave them alone. The rules look at characters only. Their time
grows linearly with the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from raysweep.records import Segment

RULES = "1"
"""Version of this package's rules, part of the fingerprints of word and sentence methods."""
_VALUES = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million
billion true false none null nan
"""
_PLURALS = [value[:-1] + "ies" if value[-1] == "y" else value + "s" for value in _VALUES.split()]
VALUES = frozenset([*_VALUES.split(), *_PLURALS, "sixes", "zeroes"])
"""Words that are data wherever they stand; number words also in the plural: ones, twenties."""

Spans = list[tuple[int, int]]

_QUOTED = re.compile(
    r"(?<![\w'’])\"(?:[^\"\n]|\n(?!\s*\n)){1,120}\"(?!\w)"
    r"|(?<![\w'’])'(?:[^'\n]|(?<=\w)'(?=\w)|\n(?!\s*\n)){1,60}'(?!\w)"
    r"|“[^“”]{1,120}”|‘[^‘’]{1,60}’"
)
_BRACKET_OR_BREAK = re.compile(r"[\[\]{}]|\n[^\S\n]*\n")
_CLOSES = {"]": "[", "}": "{"}
_LONGEST_LIST = 300
"""Brackets with more characters between them contain prose."""
_CHUNK = re.compile(r"\S+")
_FORMULA = re.compile(r"[\^=<>*%|+\\@~&#$≤≥≠➞→]")
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
_ONE_LETTER = re.compile(r"(?<![^\W_])(?<![^\W_]['’])(?![aAI](?![^\W_]))[^\W\d_](?![^\W_])")
_OPERATOR = re.compile(r"[=!<>]=+|[-=]+>|[=<>+*^%|/]|\*\*|//|[≤≥≠➞→]")
_HYPHENS = "-‐‑"
_MARK = re.compile(rf"[^{_HYPHENS}\s]")
_WORD = re.compile(rf"[^\W_]+(?:[{_HYPHENS}][^\W_]+)*")


def literal_spans(segments: Sequence[Segment]) -> list[Spans]:
    """Return the (start, end) of the data in each segment, in order and without overlaps; verbatim ones have none.

    A literal may begin in one segment and end in another. The articles "a" and "I" are no data unless they are part of
    a literal or a formula.
    """
    text = "".join(_shown(segment) for segment in segments)
    return _by_segment(_merged([*_spans(text)]), segments)


def _by_segment(spans: Spans, segments: Sequence[Segment]) -> list[Spans]:
    spans_of_segments: list[Spans] = []
    start, first = 0, 0
    for segment in segments:
        end = start + len(segment.text)
        while first < len(spans) and spans[first][1] <= start:
            first += 1
        inside: Spans = []
        last = first
        while last < len(spans) and spans[last][0] < end:
            inside.append((max(spans[last][0], start) - start, min(spans[last][1], end) - start))
            last += 1
        spans_of_segments.append(inside if segment.natural else [])
        start = end
    return spans_of_segments


def compound_spans(text: str) -> Spans:
    """Return the (start, end) of a text's hyphenated compounds, whose parts are no words of their own: non-empty."""
    return [match.span() for match in _WORD.finditer(text) if any(hyphen in match[0] for hyphen in _HYPHENS)]


def compounds_with_code(segments: Sequence[Segment]) -> list[Spans]:
    if not any(s.text[:1] in _HYPHENS or s.text[-1:] in _HYPHENS for s in segments if s.text):
        return [[] for _ in segments]
    shown = [s.text if s.natural else _shown(Segment(_MARK.sub("x", s.text), False)) for s in segments]
    return _by_segment(compound_spans("".join(shown)), segments)


def with_blanks_around(text: str, spans: Spans) -> Spans:
    """Return the pieces between blanks that touch one of the spans, which are in order."""
    pieces: Spans = []
    index = 0
    for chunk in _CHUNK.finditer(text):
        while index < len(spans) and spans[index][1] <= chunk.start():
            index += 1
        if index < len(spans) and spans[index][0] < chunk.end():
            pieces.append(chunk.span())
    return pieces


def _shown(segment: Segment) -> str:
    """Return a segment's text; a verbatim block, whose quotes and brackets are its own, counts as blank lines."""
    return "\n" * len(segment.text) if not segment.natural and "\n" in segment.text else segment.text


def _spans(text: str) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in _QUOTED.finditer(text))
    yield from (match.span() for match in _ONE_LETTER.finditer(text))
    yield from _lists(text)
    for line in re.finditer(r"[^\n]+", text):
        yield from _formulas(line[0], line.start())


def _lists(text: str) -> Iterator[tuple[int, int]]:
    open_brackets: list[tuple[str, int]] = []
    for match in _BRACKET_OR_BREAK.finditer(text):
        mark = match[0]
        if mark in "[{":
            open_brackets.append((mark, match.start()))
        elif mark in _CLOSES:
            if open_brackets and open_brackets[-1][0] == _CLOSES[mark]:
                _, start = open_brackets.pop()
                if match.end() - start <= _LONGEST_LIST:
                    while start and (text[start - 1].isalnum() or text[start - 1] == "_"):
                        start -= 1  # to where a name before the bracket begins: that of ``a`` in ``a[k]``
                    yield start, match.end()
        else:
            open_brackets.clear()


def _formulas(line: str, offset: int) -> Iterator[tuple[int, int]]:
    """Yield the pieces of a line that are formulas or stand beside an operator: ``x^2``, ``2n``, ``total = 5``."""
    chunks = list(_CHUNK.finditer(line))
    for index, chunk in enumerate(chunks):
        text = chunk[0]
        if index and _OPERATOR.fullmatch(text):  # the first mark of a line is a bullet or a quotation
            for beside in chunks[index - 1 : index + 2]:
                yield offset + beside.start(), offset + beside.end()
        elif _LETTER.search(text) and (_DIGIT.search(text) or _FORMULA.search(text)):
            yield offset + chunk.start(), offset + chunk.end()


def _merged(spans: Spans) -> Spans:
    merged: Spans = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
