"""The contract of a part-of-speech tagger: the words of a sentence in, Penn Treebank tags out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from raysweep.registry import Registry


class Tagger(ABC):
    """Tags words in context, the same ones for the same sentence in any process.

    The constructor is cheap and raises UsageError where the tagger can't be used here; a model is loaded at the first
    sentence, once a process.
    """

    name: ClassVar[str]

    @abstractmethod
    def tag(self, words: Sequence[str]) -> list[str]:
        """Return one Penn Treebank tag a word (``VBZ``, ``NNS``).

        Args:
            words: of one sentence, clitics apart (``is n't``), punctuation too; none is empty.
        """

    @abstractmethod
    def fingerprint(self) -> Mapping[str, str]:
        """Return what the tags depend on, for keys and manifests: the package and the model, with versions."""


TAGGERS: Registry[Tagger] = Registry("tagger", "raysweep.language.tagging")
"""Part-of-speech taggers: one file a tagger."""

_UPOS = {"NN": "NOUN", "VB": "VERB", "JJ": "ADJ", "RB": "ADV"}


def upos(tag: str) -> str:
    """Return the universal part of speech of a Penn tag; empty for all but common nouns, verbs, adjectives, adverbs."""
    return "" if tag.startswith("NNP") else _UPOS.get(tag[:2], "")
