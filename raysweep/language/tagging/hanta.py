"""Tagger `hanta`: HanTa's English model, which its wheel contains; pure Python, nothing to download.

Source: C. Wartena, A Probabilistic Morphology Model for German Lemmatization, KONVENS 2019;
https://github.com/wartaal/HanTa. Its tags, the British National Corpus' (C5), are mapped to Penn's here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from raysweep.language.tagging.base import TAGGERS, Tagger
from raysweep.machine import versions

_MODEL = "morphmodel_en.pgz"
_LOWEST = -1e6
_LONGEST = 40
"""Letters of the longest word that is tagged: HanTa's time grows with the square of a word's length."""
_STAND_IN = "x"
"""What HanTa sees in place of a longer word: a noun."""
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

    def tag(self, words: Sequence[str]) -> list[str]:
        """Return one Penn tag for each word; the tag of a punctuation mark is the mark, a very long word has none."""
        if not words:
            return []
        model, names = _model()
        tags = model.tag_sent_viterbi([word if len(word) <= _LONGEST else _STAND_IN for word in words])
        return [
            _PENN.get(names[tag], word) if len(word) <= _LONGEST else "" for tag, word in zip(tags, words, strict=True)
        ]

    def fingerprint(self) -> Mapping[str, str]:
        """Return HanTa's version; the model is part of its wheel."""
        return {"tagger": f"HanTa {versions(('HanTa',))['HanTa']}"}


@cache
def _model() -> tuple[Any, dict[int, str]]:
    """Return the loaded tagger and the names of its tags."""
    from HanTa import HanoverTagger as hanta

    class Quick(hanta.HanoverTagger):  # type: ignore[misc]
        """HanTa with a cache of words and a faster search: it tries only the tags that a word can have."""

        @lru_cache(maxsize=65_536)  # noqa: B019  # a process has one such object
        def chances(self, word: str, cased: bool) -> dict[int, float]:
            """Return the log probability of each tag of a word; empty if every tag is possible."""
            by_tag = dict(self._tag_word(word, cutoff=5, casesensitive=cased, conditional=True))
            return {} if by_tag.keys() <= {hanta.UNKNOWN} else by_tag

        def tag_sent_viterbi(self, sent: Sequence[str], casesensitive: bool = True) -> list[int]:
            """Return the best tags of a sentence, equal to those of HanTa's own search."""
            row: dict[tuple[int, int], float] = {(hanta.EMPTY, hanta.START): 0.0}
            came_from: list[dict[tuple[int, int], tuple[int, int]]] = []
            for index, word in enumerate(sent):
                chances = self.chances(word, casesensitive and index > 0)
                bound = sorted(row.values(), reverse=True)[5] - 1 if len(row) > 5 else _LOWEST
                best: dict[tuple[int, int], float] = {}
                previous: dict[tuple[int, int], tuple[int, int]] = {}
                for state, before in row.items():
                    if before < bound:
                        continue
                    follows = self.LP_trans_word[state]
                    for tag in chances or follows:
                        if tag == hanta.END or tag not in follows:
                            continue
                        chance = before + follows[tag] + (chances[tag] if chances else 0)
                        reached = (state[1], tag)
                        if chance > _LOWEST and chance > best.get(reached, -math.inf):
                            best[reached], previous[reached] = chance, state
                came_from.append(previous)
                row = best
            return self._path(row, came_from) if row else [hanta.UNKNOWN] * len(sent)

        def _path(
            self, row: dict[tuple[int, int], float], came_from: list[dict[tuple[int, int], tuple[int, int]]]
        ) -> list[int]:
            """Follow the best last state back to the sentence's start."""
            ends = {s: before + self.LP_trans_word[s].get(hanta.END, -math.inf) for s, before in row.items()}
            state = max(ends, key=lambda state: ends[state])
            tags = []
            for previous in reversed(came_from):
                tags.append(state[1])
                state = previous[state]
            return tags[::-1]

    model = Quick(_MODEL)
    return model, dict(model.int2tag)
