"""Lemmas and inflected forms of English words, from lemminflect's dictionary and rules.

Source: https://github.com/bjascob/LemmInflect
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any


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
    """Return a lemma's form for each Penn tag of its part of speech, in the tags' order; equal forms are repeated.

    Empty for a lemma that the dictionary lacks.
    """
    by_tag = _lemminflect().getAllInflections(base, upos=upos)
    return tuple(str(by_tag[tag][0]) for tag in sorted(by_tag))


def fingerprint() -> dict[str, str]:
    """Return lemminflect's version, for keys and manifests."""
    return {"inflections": f"lemminflect {version('lemminflect')}"}


@cache
def _lemminflect() -> Any:
    import lemminflect

    return lemminflect
