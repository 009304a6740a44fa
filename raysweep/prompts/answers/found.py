"""Where an answer's program or patch was, and counts of that in words."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from raysweep.units import count


class Found(StrEnum):
    """Where an answer's program was."""

    WRITTEN = ""  # not looked for
    FENCE = "fence"  # in a block of code
    TEXT = "text"  # beside prose, without a fence
    CALL = "call"  # in JSON, such as a tool call's arguments
    BODY = "body"  # the answer continues the prompt
    NOTHING = "nothing"  # there is none: the answer is judged as it is written
    PATCH = "patch"  # a patch of a file: lines in the hunk's place, as they are written
    LINES = "lines"  # the same, of a block of code, of JSON, or with another indent
    EDITS = "edits"  # a patch: edits, such as a diff
    WHOLE = "whole"  # a patch: the function, class or file around the hunk
    MISPLACED = "misplaced"  # more than lines, such as fences or a diff, in the hunk's place, judged there
    NO_PATCH = "no patch"  # none: there is nothing to judge


def in_words(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    if total and counts.get(Found.NOTHING, 0) == total:
        of = f"any of {total:,} answers, which are" if total > 1 else "the one answer, which is"
        return f"no code found in {of} run as {'they are' if total > 1 else 'it is'} written"
    places = [f"{counts[found]:,} {where}" for found, where in _WHERE.items() if counts.get(found)]
    return f"{count(total, 'answer')}: {', '.join(places)}"


_WHERE = {
    Found.FENCE: "with a program in a block of code",
    Found.TEXT: "with one beside prose, in no block",
    Found.CALL: "with one in JSON or a tool call",
    Found.BODY: "that continue the prompt",
    Found.NOTHING: "without a program, run as they are written",
    Found.PATCH: "with a patch",
    Found.LINES: "with the lines of one in a block of code, in JSON, or with another indent",
    Found.EDITS: "with edits, such as a diff",
    Found.WHOLE: "with the function, class or file around the hunk",
    Found.MISPLACED: (
        "with fences, prose, a whole function or a diff in the hunk's place, judged as lines of the hunk (`raysweep "
        "execute --extract auto` takes the patch out and puts it where it belongs)"
    ),
    Found.NO_PATCH: "without a patch",
}
