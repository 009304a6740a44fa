"""The contract of a source of synonyms: the synsets of some copy of WordNet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from raysweep.registry import Registry


class Synonyms(ABC):
    """The synsets of English words, each represented by its first word.

    The constructor raises UsageError if the source can't be used on this machine.
    """

    name: ClassVar[str]

    @abstractmethod
    def heads(self, word: str, upos: str) -> Sequence[str]:
        """Return the first words of the synsets that a word is in, in WordNet's order; empty for unknown words.

        Args:
            word: in lower case, inflected or not.
            upos: NOUN, VERB, ADJ or ADV (Universal Dependencies); other parts of speech have no synsets.

        Returned words are in lower case; those of several parts are joined with blanks (``phone number``). The word
        itself and repetitions may be among them; the methods leave them out.
        """

    def frequent(self, word: str, upos: str) -> Sequence[str]:
        """Return the other words of a word's first synset that WordNet's texts use in this sense above all others.

        Args:
            word: in lower case and in base form.
            upos: see `heads`.

        By default the first synset's first word, for sources without counts.
        """
        return [head for head in self.heads(word, upos)[:1] if head != word]

    @abstractmethod
    def fingerprint(self) -> Mapping[str, str]:
        """Return the version of the source under the key `wordnet`, for keys and manifests; never a path."""


SYNONYMS: Registry[Synonyms] = Registry("source of synonyms", "raysweep.language.synonyms", Synonyms)
DEFAULT_SYNONYMS = "wordnet"
"""Registered sources of synonyms."""
