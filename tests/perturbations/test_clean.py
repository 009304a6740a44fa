"""The perturbation that changes nothing."""

import random

from raysweep.perturbations.clean import Clean


def test_returns_every_text_as_it_is():
    assert Clean(20).perturb_text("Any text\nat all.", random.Random(0), frozenset()) == "Any text\nat all."
    assert Clean().perturb_recode("Any text", 7) == "Any text"
