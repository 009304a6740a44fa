"""Lemmas and inflected forms of English words, from lemminflect's dictionary and rules.

Source: https://github.com/bjascob/LemmInflect
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

from raysweep.machine import versions

_IRREGULAR = frozenset(["good", "well", "bad", "ill", "far", "much", "many", "little"])
_ABSOLUTE_WORDS = """
blank chief dead double empty even first fixed fourth key last left main nested next null odd one only other
prime proper real right same single sole square such third upper void whole wrong
"""
_ABSOLUTE = frozenset(_ABSOLUTE_WORDS.split())
_VOWELS = re.compile("[aeiouy]+")


@lru_cache(maxsize=65_536)
def lemma(word: str, upos: str) -> str:
    """Return the lemma of a lower-case word as a NOUN, VERB, ADJ or ADV; an unknown word is its own lemma."""
    lemmas = _lemminflect().getLemma(word, upos=upos)
    return str(lemmas[0]) if lemmas else word


@lru_cache(maxsize=65_536)
def inflection(base: str, tag: str) -> str:
    """Return the form of a lemma for a Penn tag (``VBD``), the usual one if there are several."""
    forms = _lemminflect().getInflection(base, tag=tag)
    return str(forms[0]) if forms else base


@lru_cache(maxsize=65_536)
def inflections(base: str, upos: str) -> tuple[str, ...]:
    """Return a lemma's form for each Penn tag, in order; equal ones are repeated; empty for an unknown lemma."""
    by_tag = _lemminflect().getAllInflections(base, upos=upos)
    return tuple(str(by_tag[tag][0]) for tag in sorted(by_tag))


@lru_cache(maxsize=65_536)
def is_known_word(word: str) -> bool:
    return bool(_lemminflect().getAllLemmas(word))


@lru_cache(maxsize=65_536)
def is_known_verb(word: str) -> bool:
    return bool(_lemminflect().getAllLemmas(word, upos="VERB"))


def has_comparative(adjective: str) -> bool:
    """Return True if English has a comparative in -er of an adjective in base form.

    Those are irregular adjectives, those of one syllable, and those of two that end in -y, -le, -ow or -er; of these
    not the ones that nothing can be more than another, such as "odd" and "whole", which the dictionary inflects too.
    """
    if adjective in _IRREGULAR:
        return True
    silent = adjective.endswith("e") and not adjective.endswith("le")
    syllables = len(_VOWELS.findall(adjective[:-1] if silent else adjective))
    short = syllables == 1 or (syllables == 2 and adjective.endswith(("y", "le", "ow", "er")))
    return short and adjective not in _ABSOLUTE and not adjective.endswith("ed")


def fingerprint() -> dict[str, str]:
    return {"inflections": f"lemminflect {versions(('lemminflect',))['lemminflect']}"}


@cache
def _lemminflect() -> Any:
    import lemminflect

    return lemminflect
