"""Splits prompts that describe the task in a comment (Java, C++) into natural language and verbatim text.

The description is the prompt's last comment, a block or consecutive ``//`` lines. It comes before the signature, except
in HumanEval-X's few C++ prompts with a helper. It is split as a docstring is; the ``*`` or ``//``
at the start of its lines is verbatim.

No method writes a `*/`, so no change can end a comment early.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from raysweep.prompts.regions import description, merge, split_instruction, split_prose
from raysweep.records import Segment

_COMMENT = re.compile(r"/\*+(.*?)\*+/|^[ \t]*(//[^\n]*(?:\n[ \t]*//[^\n]*)*)", re.DOTALL | re.MULTILINE)
_STRINGS_AND_COMMENTS = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:[^\\\"\n]|\\.)*\"|'(?:[^\\'\n]|\\.)*'", re.DOTALL)
_DECORATION = re.compile(r"[ \t]*(?://+|\*+)[ \t]*")
_BARE_END = re.compile(r"(?:\n[ \t]*(?://+|\*+)?[ \t]*)+\Z")  # lines with nothing but * or //
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_SIGNATURE = re.compile(r"\b(\w+)\s*\([^()]*\)\s*(?:const\s*|throws\s+[\w., ]+)?\{")


def entry_point_of(prompt: str) -> str:
    """Return the name of the last function whose body a Java or C++ prompt opens; empty if there is none."""
    names = _SIGNATURE.findall(code_of(prompt))
    return names[-1] if names else ""


def code_of(prompt: str) -> str:
    """Return a Java or C++ prompt without its comments and strings."""
    return _STRINGS_AND_COMMENTS.sub(" ", prompt)


def split_comment_prompt(prompt: str, entry_point: str) -> list[Segment]:
    """Split a prompt in Java or C++, losslessly; a prompt without a comment is split as an instruction."""
    comments = list(_COMMENT.finditer(prompt))
    if not comments:
        return split_instruction(prompt)
    inside = comments[-1].span(1 if comments[-1][1] is not None else 2)
    start, stop = description(prompt, *inside, entry_point)
    stop = start + len(_BARE_END.sub("", prompt[start:stop]))
    lines = _LINE.findall(prompt[start:stop])
    marks = [mark[0] if (mark := _DECORATION.match(line)) else "" for line in lines]
    bare = "".join(line[len(mark) :] for line, mark in zip(lines, marks, strict=True))
    pieces = split_prose(bare, code_of(prompt))
    return merge([Segment(prompt[:start], False), *_decorated(pieces, marks), Segment(prompt[stop:], False)])


def _decorated(pieces: Sequence[Segment], marks: Sequence[str]) -> list[Segment]:
    """Return the pieces of a comment with each line's ``*`` or ``//`` in front of it again."""
    segments: list[Segment] = []
    line, begins = 0, True
    for piece in pieces:
        for part in _LINE.findall(piece.text):
            if begins:
                segments.append(Segment(marks[line], False))
            segments.append(Segment(part, piece.natural))
            begins = part.endswith("\n")
            line += begins
    return segments
