"""C3: case flipped, at the study's rate."""

import random

import pytest

from raysweep.perturbations.characters.c3_change_char_case import ChangeCharCase
from raysweep.testing.perturbations import perturb_text

NOTHING: frozenset[str] = frozenset()


@pytest.mark.parametrize("strength", [0.4, 1, 2])
@pytest.mark.parametrize(("letter", "flipped"), [("a", "A"), ("Z", "z")])
def test_letters_flip_with_probability_35_times_strength(letter, flipped, strength):
    after = perturb_text(ChangeCharCase(strength), letter * 50_000, random.Random(5), NOTHING)
    assert after.count(flipped) / 50_000 == pytest.approx(0.35 * strength, abs=0.009)


def test_the_probability_ends_at_1():
    assert perturb_text(ChangeCharCase(20), "Write 3 Lines", random.Random(5), NOTHING) == "wRITE 3 lINES"


def test_nothing_but_case_changes():
    text = "Return the largest of 12 numbers, please.\n"
    after = perturb_text(ChangeCharCase(), text, random.Random(5), NOTHING)
    assert after != text
    assert after.lower() == text.lower()
