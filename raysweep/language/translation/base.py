"""The contract of a back-translation engine: English sentences to another language and back."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from raysweep.errors import UsageError
from raysweep.records import Segment
from raysweep.registry import Registry

Sentence = Sequence[Segment]
"""Natural and verbatim pieces, on one line when joined."""
AUTO = "auto"
_LENGTHS = (0.6, 1.6)
"""Between these multiples of its length a translation is believed."""
_NUMBER = re.compile(r"\d+")


class Translator(ABC):
    """Translates sentences and back; the same ones give the same texts.

    The constructor is cheap; models are loaded at the first sentence, once a process.
    """

    name: ClassVar[str]
    neural: ClassVar[bool] = False  # a model, which is faster on an accelerator

    @abstractmethod
    def lacks(self) -> str:
        """Say what keeps the engine from being used here, and the way out; empty when nothing does. Cheap."""

    @abstractmethod
    def back_translate(self, sentences: Sequence[Sentence]) -> list[str | None]:
        """Return each sentence there and back, its verbatim pieces as they were and in their order, or None.

        None stands for a translation that isn't believed (`is_believable`): the sentence stays as it is.
        """

    @abstractmethod
    def fingerprint(self) -> Mapping[str, str]:
        """Return what texts depend on, for keys and manifests: engine, models or dictionaries, versions."""

    @property
    def is_ready(self) -> bool:
        """Whether it could be used at once and without a network."""
        return not self.lacks()


TRANSLATORS: Registry[Translator] = Registry("translator", "raysweep.language.translation")
"""Back-translation engines: one file an engine."""

_PREFERRED = ("fsmt", "apertium")


def resolve(name: str, **args: object) -> str:
    """Return the name of a translator; for ``auto`` the first that is ready here: the study's, then the offline one.

    Raises:
        UsageError: an unknown name, one that can't be used here, or none that is ready.
    """
    from raysweep.records import Spec

    if name != AUTO:
        if lack := TRANSLATORS.create(Spec(name, args)).lacks():
            raise UsageError(f"translator {name}: {lack}")
        return name
    for ready in _PREFERRED:
        if TRANSLATORS.create(Spec(ready)).is_ready:
            return ready
    raise UsageError(
        "back-translation (S1) needs a translator, and none is ready here. Two ways out: hub models, downloaded once "
        "with `hf download facebook/wmt19-en-de` and `hf download facebook/wmt19-de-en`, and `pip install sacremoses` "
        "(translator: fsmt; with other ids marian); or Apertium, which needs no network afterwards, with `apt install "
        "apertium apertium-eng-spa` (translator: apertium). translator: none leaves S1 out of S and mix_all"
    )


def is_believable(sentence: Sentence, translated: str) -> bool:
    """Tell whether a translation has the sentence's verbatim pieces in order, its numbers, and about its length."""
    text = "".join(piece.text for piece in sentence)
    least, most = (share * len(text) for share in _LENGTHS)
    return (
        least <= len(translated) <= most
        and Counter(_NUMBER.findall(text)) == Counter(_NUMBER.findall(translated))
        and locate(sentence, translated) is not None
    )


def locate(sentence: Sentence, translated: str) -> list[int] | None:
    """Return where a sentence's verbatim pieces stand in its translation as words of their own; None if they don't."""
    places, at = [], 0
    for piece in sentence:
        if not piece.natural:
            before, after = ((r"\w" if edge.isalnum() else "(?!)") for edge in (piece.text[0], piece.text[-1]))
            found = re.compile(f"(?<!{before}){re.escape(piece.text)}(?!{after})").search(translated, at)
            if found is None:
                return None
            places.append(found.start())
            at = found.end()
    return places
