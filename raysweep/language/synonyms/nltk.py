"""Synonyms `nltk`: the WordNet that is installed for nltk, in whichever version.

Nothing is downloaded here; ``python -m nltk.downloader wordnet omw-1.4`` installs it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.language.synonyms.base import SYNONYMS, Synonyms

_POS = {"NOUN": "n", "VERB": "v", "ADJ": "a", "ADV": "r"}


@SYNONYMS.register("nltk")
class NltkWordNet(Synonyms):
    """WordNet as nltk reads it from its data folders.

    Raises:
        UsageError: nltk or its WordNet isn't installed.
    """

    def __init__(self) -> None:
        self._version = _reader().get_version()

    @override
    def heads(self, word: str, upos: str) -> Sequence[str]:
        return _heads(word, upos)

    @override
    def frequent(self, word: str, upos: str) -> Sequence[str]:
        return _frequent(word, upos)

    @override
    def fingerprint(self) -> Mapping[str, str]:
        return {"wordnet": f"{self._version} (nltk)"}


@lru_cache(maxsize=65_536)
def _heads(word: str, upos: str) -> tuple[str, ...]:
    if upos not in _POS:
        return ()
    names = (synset.name().rsplit(".", 2)[0] for synset in _reader().synsets(word, _POS[upos]))
    return tuple(name.replace("_", " ") for name in names)


@lru_cache(maxsize=65_536)
def _frequent(word: str, upos: str) -> tuple[str, ...]:
    if upos not in _POS or not (synsets := _reader().synsets(word, _POS[upos])):
        return ()
    first = synsets[0]
    others = [lemma for lemma in first.lemmas() if lemma.name().lower() != word.replace(" ", "_")]
    used = (
        lemma.name().lower().replace("_", " ")
        for lemma in others
        if lemma.count() and lemma.name().count("_") < 2 and _reader().synsets(lemma.name(), _POS[upos])[0] == first
    )
    return tuple(dict.fromkeys(used))


@cache
def _reader() -> Any:
    try:
        from nltk.corpus import wordnet

        wordnet.ensure_loaded()
    except (ImportError, LookupError, OSError) as error:
        raise UsageError(
            "synonyms nltk: nltk's WordNet isn't installed; pip install nltk and run `python -m nltk.downloader "
            "wordnet omw-1.4`, or take the shipped one (synonyms: wordnet)"
        ) from error
    return wordnet
