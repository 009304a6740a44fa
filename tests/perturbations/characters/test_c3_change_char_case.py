"""C3: case flipped, at the study's rate."""

import random

import pytest

from raysweep.perturbations.characters.c3_change_char_case import ChangeCharCase
from tests.perturbations.texts import perturb_text

NOTHING: frozenset[str] = frozenset()


@pytest.mark.parametrize("strength", [0.4, 1, 2])
def test_letters_flip_with_probability_35_times_strength(strength):
    for letter, flipped in (("a", "A"), ("Z", "z")):
        after = perturb_text(ChangeCharCase(strength), letter * 50_000, random.Random(5), NOTHING)
        assert after.count(flipped) / 50_000 == pytest.approx(0.35 * strength, abs=0.009)


def test_the_probability_ends_at_1():
    assert perturb_text(ChangeCharCase(20), "Write 3 Lines", random.Random(5), NOTHING) == "wRITE 3 lINES"
