"""Splits prompts that describe the task in a comment (Java, C++) into natural language and verbatim text.

The description is the prompt's last comment, a block or consecutive ``//`` lines. It comes before the signature, except
in HumanEval-X's few C++ prompts with a helper. It is split as a docstring is; the ``*`` or ``//``
at the start of its lines is verbatim.

No method writes a `*/`, so no change can end a comment early.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from raysweep.prompts.regions import (
    description,
    merge,
    protected_names,
    protected_words,
    split_instruction,
    split_prose,
)
from raysweep.records import Segment

_STRING = r"\"{3}(?:[^\\]|\\.)*?\"{3}|\"(?:[^\\\"\n]|\\.)*\"|'(?:[^\\'\n]|\\.)*'"
_COMMENT = re.compile(
    r"/\*+(.*?)\*+/|^[ \t]*(//[^\n]*(?:\n[ \t]*//[^\n]*)*)"
    rf"|(//[^\n]*)|{_STRING}",  # a comment behind code; and what may hold the beginning of a comment that is none
    re.DOTALL | re.MULTILINE,
)
_STRINGS_AND_COMMENTS = re.compile(rf"/\*.*?\*/|//[^\n]*|{_STRING}", re.DOTALL)
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
    comments = [comment for comment in _comments(prompt) if comment[3] is None]
    if not comments:
        return split_instruction(prompt)
    start, stop = description(prompt, *_inside(comments[-1]), entry_point)
    parts = _split_comment(prompt[start:stop], code_of(prompt))
    return merge([Segment(prompt[:start], False), *parts, Segment(prompt[stop:], False)])


def split_comments(code: str, entry_point: str) -> list[Segment]:
    """Split Java or C++ code with comments anywhere, losslessly: the text of each is natural, as in a prompt.

    Comments behind code on their line count too, which describe no task in a prompt.
    """
    segments, position, words = [], 0, code_of(code)
    for comment in _comments(code):
        start, stop = description(code, *_inside(comment), entry_point)
        segments += [Segment(code[position:start], False), *_split_comment(code[start:stop], words)]
        position = stop
    return merge([*segments, Segment(code[position:], False)])


def protected_in_comments(code: str, language: str) -> frozenset[str]:
    """Return the words that no method may change in the comments of Java or C++ code: the names of the code.

    A text without a comment is an instruction, of which the names in its lines of code are protected.
    """
    if not any(_comments(code)):
        return protected_words(code)
    return protected_names(code_of(code), language)


def _comments(code: str) -> Iterator[re.Match[str]]:
    return (found for found in _COMMENT.finditer(code) if found.lastindex)


def _inside(comment: re.Match[str]) -> tuple[int, int]:
    return comment.span(comment.lastindex or 0)


def _split_comment(text: str, words: str) -> list[Segment]:
    """Split the text of a comment. `words`: code whose names are no natural language."""
    kept = _BARE_END.sub("", text)
    lines = _LINE.findall(kept)
    marks = [mark[0] if (mark := _DECORATION.match(line)) else "" for line in lines]
    bare = "".join(line[len(mark) :] for line, mark in zip(lines, marks, strict=True))
    if not bare.strip():
        return [Segment(text, False)]
    segments: list[Segment] = []
    line, begins = 0, True
    for piece in split_prose(bare, words):
        for part in _LINE.findall(piece.text):
            segments += [*([Segment(marks[line], False)] if begins else []), Segment(part, piece.natural)]
            begins = part.endswith("\n")
            line += begins
    return [*segments, Segment(text[len(kept) :], False)]
