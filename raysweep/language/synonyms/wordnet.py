"""Synonyms `wordnet`: all of WordNet 3.0 as one table, which ships with raysweep.

`python -m raysweep.language.synonyms.wordnet_table` builds it from Debian's package `wordnet-base`; the licence is
`WORDNET-LICENSE` beside it. Cite: G. A. Miller, WordNet: A Lexical Database for English, CACM 38(11), 1995.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files

from typing_extensions import override

from raysweep.language.synonyms.base import SYNONYMS, Synonyms
from raysweep.language.synonyms.morphology import base_forms

TABLE = "wordnet.tsv.gz"
VERSION = "3.0"
SELF = "="
"""The table's sign for the entry itself."""
Entries = Mapping[str, str]


@SYNONYMS.register("wordnet")
class ShippedWordNet(Synonyms):
    """WordNet 3.0 as shipped: the same words on every machine. A process loads it once, in 0.2 s and 30 MiB."""

    @override
    def heads(self, word: str, upos: str) -> Sequence[str]:
        return _heads(word, upos)

    @override
    def frequent(self, word: str, upos: str) -> Sequence[str]:
        return _frequent(word, upos)

    @override
    def fingerprint(self) -> Mapping[str, str]:
        return {"wordnet": VERSION}


@lru_cache(maxsize=65_536)
def _heads(word: str, upos: str) -> tuple[str, ...]:
    entries, exceptions = _table()
    if upos not in entries:
        return ()
    heads: list[str] = []
    for form in base_forms(word, upos, entries[upos], exceptions[upos]):
        heads += [form if head == SELF else head for head in entries[upos][form].partition("\t")[0].split(" ")]
    return tuple(head.replace("_", " ") for head in heads)


@lru_cache(maxsize=65_536)
def _frequent(word: str, upos: str) -> tuple[str, ...]:
    entries, exceptions = _table()
    if upos not in entries:
        return ()
    forms = [word] if word in entries[upos] else base_forms(word, upos, entries[upos], exceptions[upos])
    _, _, same = entries[upos][forms[0]].partition("\t") if forms else ("", "", "")
    return tuple(name.replace("_", " ") for name in same.split())


@cache
def _table() -> tuple[Mapping[str, Entries], Mapping[str, Mapping[str, Sequence[str]]]]:
    """Return (entry -> heads joined by blanks, irregular form -> entries), each by part of speech.

    The table's lines are ``# UPOS``, ``entry<TAB>heads`` and, after ``! UPOS``, ``form<TAB>entries``. An entry with
    frequent synonyms has them behind its heads, after another tab.
    """
    text = gzip.decompress(files(__package__).joinpath(TABLE).read_bytes()).decode()
    entries: dict[str, Entries] = {}
    exceptions: dict[str, Mapping[str, Sequence[str]]] = {}
    for part in text.split("\n\n"):
        title, _, body = part.partition("\n")
        mark, _, upos = title.partition(" ")
        pairs = (line.split("\t", 1) for line in body.splitlines())
        if mark == "#":
            entries[upos] = {entry: heads for entry, heads in pairs}
        else:
            exceptions[upos] = {form: entry.split(" ") for form, entry in pairs}
    return entries, exceptions
