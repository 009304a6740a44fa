"""The contract of a source of synonyms: words of WordNet, from one copy of it or another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from raysweep.registry import Registry


class Synonyms(ABC):
    """The synsets of English words, each known by its first word.

    The constructor is cheap where nothing has to be loaded and raises UsageError where the source can't be used here.
    """

    name: ClassVar[str]

    @abstractmethod
    def heads(self, word: str, upos: str) -> Sequence[str]:
        """Return the first words of the synsets that a word is in, in WordNet's order; empty for unknown words.

        Args:
            word: in lower case, inflected or not.
            upos: NOUN, VERB, ADJ or ADV (Universal Dependencies); other parts of speech have no synsets.

        Heads are in lower case and several words are joined with blanks (``phone number``). The word itself is among
        them where it is a synset's first word.
        """

    @abstractmethod
    def fingerprint(self) -> Mapping[str, str]:
        """Return what the synonyms depend on, for keys and manifests; never a path."""


SYNONYMS: Registry[Synonyms] = Registry("source of synonyms", "raysweep.language.synonyms")
"""Sources of synonyms: one file a source."""
