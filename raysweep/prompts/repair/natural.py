"""Splits code with a marked hunk into natural language, that of its comments and docstrings, and verbatim code.

The marks and the hunk between them are verbatim, so that no perturbation changes what is to be repaired.
"""

from __future__ import annotations

import re

from raysweep.programs import PYTHON
from raysweep.prompts.comments import split_comments
from raysweep.prompts.regions import description, merge, split_prose
from raysweep.prompts.repair.hunks import hunk_in
from raysweep.records import Segment

_DOCSTRING_OR_COMMENT = re.compile(r'"""((?:[^\\]|\\.)*?)"""|^[ \t]*#+([^\n]*)', re.DOTALL | re.MULTILINE)


def split_marked(text: str, language: str, entry_point: str) -> list[Segment]:
    """Split a text that marks a hunk, losslessly; raise UsageError if it marks none."""
    hunk, _ = hunk_in(text)
    start, end = len(hunk.before), len(text) - len(hunk.after)
    split = _split_python if language == PYTHON else split_comments
    before, after = split(text[:start], entry_point), split(text[end:], entry_point)
    return merge([*before, Segment(text[start:end], False), *after])


def _split_python(code: str, entry_point: str) -> list[Segment]:
    segments, position = [], 0
    for found in _DOCSTRING_OR_COMMENT.finditer(code):
        start, stop = description(code, *found.span(1 if found[1] is not None else 2), entry_point)
        segments += [Segment(code[position:start], False), *split_prose(code[start:stop], code)]
        position = stop
    return [*segments, Segment(code[position:], False)]
