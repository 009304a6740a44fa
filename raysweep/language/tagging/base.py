"""The contract of a part-of-speech tagger: takes the words of a sentence and returns Penn Treebank tags."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from raysweep.registry import Registry


class Tagger(ABC):
    """Tags words in context; a sentence gets the same tags in every process.

    The constructor is cheap and raises UsageError if the tagger can't be used on this machine. A model is loaded at the
    first sentence, once in each process. raysweep builds a tagger anew for each text, so a loaded model is kept in its
    module, for instance in a function with `functools.cache`, and not in the object.
    """

    name: ClassVar[str]

    @abstractmethod
    def tag(self, words: Sequence[str]) -> list[str]:
        """Return one Penn Treebank tag (``VBZ``, ``NNS``) for each word; an empty one for a word that it can't tag.

        Args:
            words: of one sentence in its own capitals, with clitics split off (``is n't``) and punctuation marks; none
                is empty, and verbatim pieces that are no word appear as ``x``.

        Tags of another set are mapped to Penn's. The tag of a full stop is ``.``; those of other punctuation marks
        don't matter.
        """

    @abstractmethod
    def fingerprint(self) -> Mapping[str, str]:
        """Return the versions of the package and of the model under the key `tagger`, for keys and manifests."""


TAGGERS: Registry[Tagger] = Registry("tagger", "raysweep.language.tagging", Tagger)
DEFAULT_TAGGER = "hanta"
"""Registered part-of-speech taggers."""

_UPOS = {"NN": "NOUN", "VB": "VERB", "JJ": "ADJ", "RB": "ADV"}


def upos(tag: str) -> str:
    """Return the universal part of speech of a Penn tag; empty unless common noun, verb, adjective or adverb."""
    return "" if tag.startswith("NNP") else _UPOS.get(tag[:2], "")
