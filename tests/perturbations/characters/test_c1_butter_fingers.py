"""C1: neighbouring keys, at the study's rate."""

import random

import pytest

from raysweep.perturbations.characters.c1_butter_fingers import ButterFingers
from tests.perturbations.texts import perturb_text

NOTHING: frozenset[str] = frozenset()


def share_changed(letter, strength, n=100_000):
    text = letter * n  # four standard errors are .0041 at strength 2
    after = perturb_text(ButterFingers(strength), text, random.Random(5), NOTHING)
    return sum(one != other for one, other in zip(text, after, strict=True)) / n


@pytest.mark.parametrize("strength", [0.5, 1, 2])
def test_letters_are_replaced_with_probability_06_times_strength(strength):
    # The map's 14 entries for e hold e itself, which doesn't show.
    assert share_changed("e", strength) == pytest.approx(0.06 * strength * 13 / 14, abs=0.0042)


def test_replacements_are_neighbours_in_the_letters_case_and_only_letters_of_the_keyboard_change():
    after = perturb_text(ButterFingers(20), "qQ" * 200, random.Random(1), NOTHING)
    assert set(after[::2]) == set("qwasedzx") and set(after[1::2]) == set("QWASEDZX")
    text = "3.14 + 42 = ? \n\t(ñ, ß, é)"
    assert perturb_text(ButterFingers(20), text, random.Random(1), NOTHING) == text
