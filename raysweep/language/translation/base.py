"""The contract of a back-translation engine: translates English sentences to another language and back."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from raysweep.errors import MissingInput
from raysweep.records import Segment, Spec
from raysweep.registry import Registry

Sentence = Sequence[Segment]
"""The natural and verbatim pieces of one sentence, without line breaks."""
AUTO = "auto"
_LENGTHS = (0.6, 1.6)
"""The shortest and longest believable translation, as multiples of the sentence's length."""
_NUMBER = re.compile(r"\d+")


class Translator(ABC):
    """Translates sentences to another language and back; equal sentences give equal texts.

    The constructor is cheap; models are loaded at the first sentence, once in each process. It may have the arguments
    `there`, `back` and `revision`, which S1's arguments `models` (two texts) and `revision` give. ``translator: auto``
    tries raysweep's own translators only; others are named under ``language:``.
    """

    name: ClassVar[str]
    neural: ClassVar[bool] = False  # True for a model, which is faster on an accelerator
    caution: ClassVar[str] = ""  # what numbers of its translations are not good for, and why; empty: nothing

    @abstractmethod
    def lacks(self) -> str:
        """Return what this machine lacks to use the engine and how to get it; empty if nothing is missing.

        It is cheap, and is asked before any work.
        """

    @abstractmethod
    def back_translate(self, sentences: Sequence[Sentence]) -> list[str | None]:
        """Return each sentence translated and back, with its verbatim pieces unchanged and in order.

        None stands for a sentence whose translation is not believable (`is_believable`): it stays as it is.
        """

    @abstractmethod
    def fingerprint(self) -> Mapping[str, str]:
        """Return the engine with its models or dictionaries and their versions under the key `translator`, for keys."""

    @property
    def is_ready(self) -> bool:
        """True if the engine can be used at once and without a network; override it where `lacks` doesn't tell."""
        return not self.lacks()


TRANSLATORS: Registry[Translator] = Registry("translator", "raysweep.language.translation", Translator)
"""Registered back-translation engines."""

IF_READY = "if_ready"
"""In a config: ``auto`` where a translator is ready, else none, which leaves out the methods that translate."""
_PREFERRED = ("fsmt", "apertium")
"""What ``auto`` tries, in this order."""


def resolve(name: str, **args: object) -> str:
    """Return the name of a translator; for ``auto`` the first one that is ready on this machine.

    Raises:
        UsageError: the name is unknown.
        MissingInput: the translator can't be used here, or for ``auto`` none is ready.
    """
    if name != AUTO:
        if lack := TRANSLATORS.create(Spec(name, args)).lacks():
            raise MissingInput(f"translator {name}: {lack}")
        return name
    if (ready := _ready()) is not None:
        return ready
    raise MissingInput(
        "back-translation (S1) needs a translator, and none is ready here. Two ways out: hub models, downloaded once "
        "with `hf download facebook/wmt19-en-de` and `hf download facebook/wmt19-de-en`, and `pip install sacremoses` "
        "(translator: fsmt, which also downloads them at first use, as new nodes of a cluster need; with other ids "
        "marian); or Apertium, which needs no network afterwards, with `apt install apertium apertium-eng-spa` "
        "(translator: apertium). translator: none leaves S1 out, also of S and mix_all"
    )


def is_one_ready() -> bool:
    """Return True if ``auto`` finds a translator on this machine."""
    return _ready() is not None


def _ready() -> str | None:
    return next((name for name in _PREFERRED if TRANSLATORS.create(Spec(name)).is_ready), None)


def is_believable(sentence: Sentence, translated: str) -> bool:
    """Return True if a translation has the sentence's verbatim pieces in order, its numbers, and about its length."""
    text = "".join(piece.text for piece in sentence)
    least, most = (share * len(text) for share in _LENGTHS)
    return (
        least <= len(translated) <= most
        and Counter(_NUMBER.findall(text)) == Counter(_NUMBER.findall(translated))
        and locate(sentence, translated) is not None
    )


def locate(sentence: Sentence, translated: str) -> list[int] | None:
    """Return the position of each verbatim piece in a translation, or None if one is missing or part of a word."""
    positions, end = [], 0
    for piece in sentence:
        if not piece.natural:
            before, after = ((r"\w" if edge.isalnum() else "(?!)") for edge in (piece.text[0], piece.text[-1]))
            match = re.compile(f"(?<!{before}){re.escape(piece.text)}(?!{after})").search(translated, end)
            if match is None:
                return None
            positions.append(match.start())
            end = match.end()
    return positions
