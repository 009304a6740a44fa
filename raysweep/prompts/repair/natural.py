"""Splits code with a marked hunk into natural language, that of its comments and docstrings, and verbatim code.

The marks and the hunk between them are verbatim, so that no perturbation changes what is to be repaired. In Python the
texts that stand alone as a statement count as docstrings, wherever they are. Code that can't be read is verbatim.
"""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from itertools import pairwise

from raysweep.programs import PYTHON
from raysweep.prompts.comments import protected_in_comments, split_comments
from raysweep.prompts.python_tokens import PythonToken, python_tokens
from raysweep.prompts.regions import description, merge, protected_names, split_docstring
from raysweep.prompts.repair.hunks import hunk_in
from raysweep.records import Segment

_DOCSTRING = re.compile(r"[rRuU]?(\"\"\"|'''|\"|')")


def split_marked(text: str, language: str, entry_point: str) -> list[Segment]:
    """Split a text that marks a hunk, losslessly; raise UsageError if it marks none."""
    hunk, _ = hunk_in(text)
    start, end = len(hunk.before), len(text) - len(hunk.after)
    first, last = text.index("\n", start) + 1, text.rindex("\n", start, end - 1) + 1
    code = f"{hunk.before}{_blank(text[start:first])}{hunk.buggy}{_blank(text[last:end])}{hunk.after}"
    segments, position = list[Segment](), 0
    for segment in _split_python(code, entry_point) if language == PYTHON else split_comments(code, entry_point):
        begin, position = position, position + len(segment.text)
        is_apart = position <= start or begin >= end
        segments.append(Segment(text[begin:position], segment.natural and is_apart))
    return merge(segments)


def protected_marked(text: str, language: str) -> frozenset[str]:
    return protected_names(text, language) if language == PYTHON else protected_in_comments(text, language)


def _blank(mark: str) -> str:
    """Return blanks in place of a mark, which is no comment of the code."""
    return re.sub(r"[^\n]", " ", mark)


def _split_python(code: str, entry_point: str) -> Iterator[Segment]:
    tokens = python_tokens(code)[0]
    position = 0
    for token, following in pairwise(tokens):
        begin, quotes = _text_begins(token, following)
        if begin is not None:
            last = token.end - len(quotes)
            start, stop = description(code, begin, last, entry_point)
            yield Segment(code[position:start], False)
            yield from split_docstring(code[start:stop], code, quotes, ends=stop == last)
            position = stop
    yield Segment(code[position:], False)


def _text_begins(token: PythonToken, following: PythonToken) -> tuple[int | None, str]:
    """Return where the text of a comment or docstring begins, and its quotes; None for another token."""
    if token.kind == tokenize.COMMENT:
        return token.end - len(token.text.lstrip("#")), ""
    found = _DOCSTRING.match(token.text) if token.kind == tokenize.STRING and token.is_first else None
    if found and following.kind in (tokenize.NEWLINE, tokenize.COMMENT):
        return token.start + found.end(), found[1]
    return None, ""
