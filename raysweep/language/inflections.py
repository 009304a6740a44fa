"""Inflected forms of English words, by lemminflect's dictionary and rules.

Source: https://github.com/bjascob/LemmInflect
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any


@lru_cache(maxsize=65_536)
def lemma(word: str, upos: str) -> str:
    """Return the lemma of a word in lower case as a NOUN, VERB, ADJ or ADV; a word nobody knows is its own."""
    found = _lemminflect().getLemma(word, upos=upos)
    return str(found[0]) if found else word


@lru_cache(maxsize=65_536)
def inflection(base: str, tag: str) -> str:
    """Return the form of a lemma for a Penn tag (``VBD``): the usual one where there are several."""
    found = _lemminflect().getInflection(base, tag=tag)
    return str(found[0]) if found else base


@lru_cache(maxsize=65_536)
def inflections(base: str, upos: str) -> tuple[str, ...]:
    """Return a lemma's form for each Penn tag of its part of speech, in the tags' order; equal forms are kept.

    Empty for lemmas that the dictionary doesn't have.
    """
    found = _lemminflect().getAllInflections(base, upos=upos)
    return tuple(str(found[tag][0]) for tag in sorted(found))


def fingerprint() -> dict[str, str]:
    """Return lemminflect's version, for keys and manifests."""
    return {"inflections": f"lemminflect {version('lemminflect')}"}


@cache
def _lemminflect() -> Any:
    import lemminflect

    return lemminflect
