"""The perturbation that changes nothing."""

import random

from raysweep.perturbations.clean import Clean
from raysweep.testing.perturbations import perturb_text


def test_returns_every_text_as_it_is():
    assert perturb_text(Clean(20), "Any text\nat all.", random.Random(0), frozenset()) == "Any text\nat all."
    assert Clean().perturb_recode("Any text", 7) == "Any text"
