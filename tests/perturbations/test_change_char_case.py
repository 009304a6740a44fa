"""C3: case flipped, at the study's rate."""

import random

import pytest

from raysweep.perturbations.change_char_case import ChangeCharCase

NOTHING: frozenset[str] = frozenset()


@pytest.mark.parametrize("strength", [0.4, 1, 2])
@pytest.mark.parametrize(("letter", "flipped"), [("a", "A"), ("Z", "z")])
def test_letters_flip_with_probability_35_times_strength(letter, flipped, strength):
    after = ChangeCharCase(strength).perturb_text(letter * 50_000, random.Random(5), NOTHING)
    assert after.count(flipped) / 50_000 == pytest.approx(0.35 * strength, abs=0.009)


def test_the_probability_ends_at_1():
    assert ChangeCharCase(20).perturb_text("Write 3 Lines", random.Random(5), NOTHING) == "wRITE 3 lINES"


def test_nothing_but_case_changes():
    text = "Return the largest of 12 numbers, please.\n"
    after = ChangeCharCase().perturb_text(text, random.Random(5), NOTHING)
    assert after != text
    assert after.lower() == text.lower()
