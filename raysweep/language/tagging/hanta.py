"""Tagger `hanta`: HanTa's English model, which its wheel contains; pure Python, nothing to download.

Source: C. Wartena, A Probabilistic Morphology Model for German Lemmatization, KONVENS 2019;
https://github.com/wartaal/HanTa. Its tags, the British National Corpus' (C5), are mapped to Penn's here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from typing_extensions import override

from raysweep.language.tagging.base import TAGGERS, Tagger
from raysweep.machine import versions

_MODEL = "morphmodel_en.pgz"
_LOWEST = -1e6
_LONGEST = 40
"""Letters of the longest word that is tagged: HanTa's time grows with the square of a word's length."""
_STAND_IN = "x"
"""What HanTa sees in place of a longer word: a noun."""
_Pair = tuple[int, int]
"""The tags of two neighbouring words."""
_Row = dict[_Pair, float]
"""The log probability of the best tags up to a word, by the tags of this word and the one before."""
_PENN = {
    **dict.fromkeys(["AJ0", "ORD"], "JJ"),
    "AJC": "JJR",
    "AJS": "JJS",
    "AT0": "DT",
    "AV0": "RB",
    "AVP": "RP",
    "AVQ": "WRB",
    "CJC": "CC",
    **dict.fromkeys(["CJS", "CJT", "PRF", "PRP"], "IN"),
    "CRD": "CD",
    "DPS": "PRP$",
    "DT0": "DT",
    "DTQ": "WDT",
    "EX0": "EX",
    "ITJ": "UH",
    **dict.fromkeys(["NN0", "NN1", "ZZ0"], "NN"),
    "NN2": "NNS",
    "NP0": "NNP",
    **dict.fromkeys(["PNI", "PNP", "PNX"], "PRP"),
    "PNQ": "WP",
    "POS": "POS",
    "TO0": "TO",
    "VM0": "MD",
    "XX0": "RB",
    **{
        f"V{verb}{form}": tag
        for verb in "BDHV"
        for form, tag in {"B": "VBP", "D": "VBD", "G": "VBG", "I": "VB", "N": "VBN", "Z": "VBZ"}.items()
    },
}


@TAGGERS.register("hanta")
class HanTaTagger(Tagger):
    """HanTa: about 25,000 words a second on one core."""

    @override
    def tag(self, words: Sequence[str]) -> list[str]:
        """The tag of a punctuation mark is the mark; a very long word has none."""
        if not words:
            return []
        model, names = _model()
        tags = model.tag_sent_viterbi([word if len(word) <= _LONGEST else _STAND_IN for word in words])
        return [
            _PENN.get(names[tag], word) if len(word) <= _LONGEST else "" for tag, word in zip(tags, words, strict=True)
        ]

    @override
    def fingerprint(self) -> Mapping[str, str]:
        """The model is part of HanTa's wheel."""
        return {"tagger": f"HanTa {versions(('HanTa',))['HanTa']}"}


@cache
def _model() -> tuple[Any, dict[int, str]]:
    model = _quick_tagger()(_MODEL)
    return model, dict(model.int2tag)


def _quick_tagger() -> Any:
    """Return HanTa's class with a cache of words and a faster search: it tries only the tags that a word can have."""
    from HanTa import HanoverTagger as hanta

    class Quick(hanta.HanoverTagger):  # type: ignore[misc]
        """HanTa, quicker."""

        @lru_cache(maxsize=65_536)  # noqa: B019  # a process has one such object
        def chances(self, word: str, cased: bool) -> dict[int, float]:
            """Return the log probability of each tag of a word; empty if every tag is possible."""
            by_tag = dict(self._tag_word(word, cutoff=5, casesensitive=cased, conditional=True))
            return {} if by_tag.keys() <= {hanta.UNKNOWN} else by_tag

        def tag_sent_viterbi(self, sent: Sequence[str], casesensitive: bool = True) -> list[int]:
            """Return the best tags of a sentence, equal to those of HanTa's own search."""
            row: _Row = {(hanta.EMPTY, hanta.START): 0.0}
            came_from: list[dict[_Pair, _Pair]] = []
            for index, word in enumerate(sent):
                chances = self.chances(word, casesensitive and index > 0)
                row, previous = _next_row(row, chances, self.LP_trans_word, hanta.END)
                came_from.append(previous)
            if not row:
                return [hanta.UNKNOWN] * len(sent)
            ends = {s: before + self.LP_trans_word[s].get(hanta.END, -math.inf) for s, before in row.items()}
            return _path(max(ends, key=lambda state: ends[state]), came_from)

    return Quick


def _next_row(
    row: _Row, chances: Mapping[int, float], transitions: Mapping[_Pair, Mapping[int, float]], end: int
) -> tuple[_Row, dict[_Pair, _Pair]]:
    """Return the row of the next word, and the pair that each of its pairs came from.

    Args:
        row: of the words so far.
        chances: log probabilities of the next word's tags; empty: every tag is possible.
        transitions: log probabilities of the tags that follow a pair.
        end: the tag of a sentence's end, which no word has.
    """
    bound = sorted(row.values(), reverse=True)[5] - 1 if len(row) > 5 else _LOWEST
    best: _Row = {}
    previous: dict[_Pair, _Pair] = {}
    for state, before in row.items():
        if before < bound:
            continue
        follows = transitions[state]
        for tag in chances or follows:
            if tag == end or tag not in follows:
                continue
            chance = before + follows[tag] + (chances[tag] if chances else 0)
            reached = (state[1], tag)
            if chance > _LOWEST and chance > best.get(reached, -math.inf):
                best[reached], previous[reached] = chance, state
    return best, previous


def _path(state: _Pair, came_from: Sequence[Mapping[_Pair, _Pair]]) -> list[int]:
    tags = []
    for previous in reversed(came_from):
        tags.append(state[1])
        state = previous[state]
    return tags[::-1]
