"""C2: adjacent characters swapped, at the study's rate."""

import random

import pytest

from raysweep.perturbations.characters.c2_swap_characters import SwapCharacters
from raysweep.testing.perturbations import perturb_text

NOTHING: frozenset[str] = frozenset()


@pytest.mark.parametrize("strength", [0.5, 1, 2])
def test_adjacent_pairs_swap_with_probability_05_times_strength(strength):
    after = perturb_text(SwapCharacters(strength), "ab " * 50_000, random.Random(5), NOTHING).split(" ")
    assert after.count("ba") / 50_000 == pytest.approx(0.05 * strength, abs=0.006)
    assert after.count("ba") + after.count("ab") == 50_000


def test_nothing_swaps_across_a_blank_or_punctuation():
    text = "a b-c.d (e) f\ng"
    assert perturb_text(SwapCharacters(20), text, random.Random(5), NOTHING) == text


def test_a_text_keeps_its_characters():
    text = "Return the largest of 12 numbers, please."
    after = perturb_text(SwapCharacters(5), text, random.Random(5), NOTHING)
    assert after != text
    assert sorted(after) == sorted(text)


@pytest.mark.parametrize("text", ["", "a"])
def test_texts_too_short_to_swap_stay(text):
    assert perturb_text(SwapCharacters(20), text, random.Random(5), NOTHING) == text
    assert SwapCharacters().perturb_recode(text, 0) == text
