"""The ways to make a program of an answer, as settings name them, and their part in keys."""

from __future__ import annotations

from enum import StrEnum

VERSION = 4
"""Raise it when equal answers give other programs; results of answers that a program is taken out of are judged again
then."""
PATCH_VERSION = 1
"""Raise it when equal answers to a problem for repair give other patched files, or other ones are an exact match."""


class Extract(StrEnum):
    """The ways to make a program of an answer."""

    AUTO = "auto"  # of chats: the candidate that parses and defines the entry point; a completion stays as it is
    NONE = "none"  # the prompt and the answer as it is written
    FIRST = "first"  # the first block of code
    LAST = "last"  # the last block of code
    STUDY = "study"  # the prompt and the answer up to its first stop string, as SafeCoder has it
    EVALPLUS = "evalplus"  # what EvalPlus's sanitize keeps
    HUNK = "hunk"  # of a patch: the text in the hunk's place; this and the next two follow from a model's template
    REST = "rest"  # of a patch: the function from the hunk on
    SPAN = "span"  # of a patch: a masked span

    @property
    def needs_whole_answers(self) -> bool:
        """Whether a problem's stop strings must not end an answer while it is written."""
        return self not in (Extract.NONE, Extract.STUDY)

    @property
    def key(self) -> dict[str, str]:
        """Its part of the keys of what is made of programs; none where answers are programs as they are."""
        version = PATCH_VERSION if self in PATCHES else VERSION
        return {} if self is Extract.NONE else {"extract": f"{self} {version}"}


PATCHES = (Extract.HUNK, Extract.REST, Extract.SPAN)
"""The ways to make a patched file of an answer, each as `RepairAnswer` names it; no setting names them."""


def way_of(extract: str, *, is_chat: bool) -> Extract:
    """Return the way that a setting means for answers of a chat, or for completions, which `auto` leaves alone.

    A generator ends completions at their stop strings, so that the study's way leaves them alone too.
    """
    way = Extract(extract)
    if way is Extract.STUDY or (way is Extract.AUTO and not is_chat):
        return Extract.NONE
    return way
