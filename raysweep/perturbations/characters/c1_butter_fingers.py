"""C1 ButterFingers: replaces letters by their neighbours on the keyboard.

Source: NL-Augmenter's `butter_fingers_perturbation` as ReCode runs it (Wang et al. 2023).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from typing_extensions import override

from raysweep.perturbations.base import PERTURBATIONS, percentage
from raysweep.perturbations.characters.recode import RecodePerturbation
from raysweep.prompts.protection import change_words
from raysweep.records import Segment

RATE = 0.06
"""Probability for each letter: ReCode draws from 0..99 and replaces a letter at 5 or below."""

_RECODE_PERCENT = 5
_NEIGHBOURS = {
    "q": "qwasedzx",
    "w": "wqesadrfcx",
    "e": "ewrsfdqazxcvgt",
    "r": "retdgfwsxcvgt",
    "t": "tryfhgedcvbnju",
    "y": "ytugjhrfvbnji",
    "u": "uyihkjtgbnmlo",
    "i": "iuojlkyhnmlp",
    "o": "oipklujm",
    "p": "plo['ik",
    "a": "aqszwxwdce",
    "s": "swxadrfv",
    "d": "decsfaqgbv",
    "f": "fdgrvwsxyhn",
    "g": "gtbfhedcyjn",
    "h": "hyngjfrvkim",
    "j": "jhknugtblom",
    "k": "kjlinyhn",
    "l": "lokmpujn",
    "z": "zaxsvde",
    "x": "xzcsdbvfrewq",
    "c": "cxvdfzswergb",
    "v": "vcfbgxdertyn",
    "b": "bvnghcftyun",
    "n": "nbmhjvgtuik",
    "m": "mnkjloik",
}
_NEIGHBOURS_BY_CASE = {**_NEIGHBOURS, **{letter.upper(): near.upper() for letter, near in _NEIGHBOURS.items()}}


@PERTURBATIONS.register("C1")
class ButterFingers(RecodePerturbation):
    """Each letter is replaced, with probability .06 x strength, by one of its neighbours; case is kept.

    The map lists every letter among its own neighbours, so about a tenth of the replacements change nothing.
    """

    title = "ButterFingers"
    words = "neighbouring keys"
    level = "character"

    @override
    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        rate, near, draw, choose = RATE * self.strength, _NEIGHBOURS_BY_CASE, rng.random, rng.choice

        def change(word: str) -> str:
            chars = None  # not a list yet: most words stay
            for index, char in enumerate(word):
                if char in near and draw() < rate:
                    chars = chars or list(word)
                    chars[index] = choose(near[char])
            return word if chars is None else "".join(chars)

        return change_words(segments, protected, change)

    @override
    def rate_text(self) -> str:
        return percentage(RATE * self.strength, "letters")

    def perturb_recode(self, text: str, seed: int) -> str:
        """Return ReCode's text: one draw for each letter or space, one more for each replacement."""
        rng = random.Random(seed)
        changed = []
        for char in text:
            known = _NEIGHBOURS.get(char.lower(), " " if char == " " else "")
            if known and rng.choice(range(100)) <= _RECODE_PERCENT:
                near = rng.choice(known)
                char = near if char == char.lower() else near.upper()
            changed.append(char)
        return "".join(changed)
