"""C2: adjacent characters swapped, at the study's rate."""

import random

import pytest

from raysweep.perturbations.characters.c2_swap_characters import SwapCharacters
from tests.perturbations.texts import perturb_text

NOTHING: frozenset[str] = frozenset()


@pytest.mark.parametrize("strength", [0.5, 1, 2])
def test_adjacent_pairs_swap_with_probability_05_times_strength(strength):
    after = perturb_text(SwapCharacters(strength), "ab " * 50_000, random.Random(5), NOTHING).split(" ")
    assert after.count("ba") / 50_000 == pytest.approx(0.05 * strength, abs=0.006)
    assert after.count("ba") + after.count("ab") == 50_000


def test_nothing_swaps_across_a_blank_or_punctuation():
    text = "a b-c.d (e) f\ng"
    assert perturb_text(SwapCharacters(20), text, random.Random(5), NOTHING) == text
    assert [SwapCharacters().perturb_recode(short, 0) for short in ("", "a")] == ["", "a"]
