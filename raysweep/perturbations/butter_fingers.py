"""C1 ButterFingers: letters replaced by neighbours on the keyboard.

Source: NL-Augmenter's `butter_fingers_perturbation` as ReCode runs it (Wang et al. 2023); study.md section 4.
"""

from __future__ import annotations

import random

from raysweep.perturbations.base import PERTURBATIONS, Perturbation, share
from raysweep.perturbations.protection import change_words

RATE = 0.06
"""Probability a letter: ReCode draws one of 0..99 and replaces at 5 or below."""

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
_OF_BOTH_CASES = {**_NEIGHBOURS, **{letter.upper(): near.upper() for letter, near in _NEIGHBOURS.items()}}


@PERTURBATIONS.register("C1")
class ButterFingers(Perturbation):
    """Each letter becomes, with probability .06 x strength, one from the map of its neighbours; case is kept.

    The map lists every letter among its own neighbours, so about a tenth of the hits change nothing.
    """

    title = "ButterFingers"
    level = "character"

    def perturb_text(self, text: str, rng: random.Random, protected: frozenset[str]) -> str:
        """Return the text with neighbouring letters in words that are not protected."""
        rate, near, draw, choose = RATE * self.strength, _OF_BOTH_CASES, rng.random, rng.choice

        def change(word: str) -> str:
            chars = None  # most words stay
            for at, char in enumerate(word):
                if char in near and draw() < rate:
                    chars = chars or list(word)
                    chars[at] = choose(near[char])
            return word if chars is None else "".join(chars)

        return change_words(text, protected, change)

    def rate_text(self) -> str:
        """Return the share of letters."""
        return share(RATE * self.strength, "letters")

    def perturb_recode(self, text: str, seed: int) -> str:
        """Return ReCode's text: one draw a letter or space, then one a replacement; a space becomes a space."""
        rng = random.Random(seed)
        changed = []
        for char in text:
            if char == " " or char.lower() in _NEIGHBOURS:
                hit = rng.choice(range(100)) <= _RECODE_PERCENT
                changed.append(_neighbour(char, rng) if hit else char)
            else:
                changed.append(char)
        return "".join(changed)


def _neighbour(char: str, rng: random.Random) -> str:
    near = rng.choice(_NEIGHBOURS.get(char.lower(), " "))
    return near if char == char.lower() else near.upper()
