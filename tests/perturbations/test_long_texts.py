"""Time grows linearly with a text, whatever its words and lines: long ones end in seconds."""

import random
import time

import pytest

from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.batches import Text
from raysweep.prompts.regions import split_instruction
from raysweep.records import Segment, Spec
from tests.perturbations.sentences.test_s1_back_translation import ScriptedBackTranslation

TEXTS = {
    "one word": "sort" * 15_000,
    "a word of letters and digits": "Ab9" * 20_000,
    "a long word in a sentence": f"Sort the {'ab' * 30_000}ing list and print it.",
    "many lines": "Sort the list and print it and return the sum\n" * 3_000,
    "many verbs without a full stop": "it takes the list and returns it, " * 3_000,
    "many adverbs": "really " * 6_000 + "sort it",
    "many perfects": "it has been found and " * 3_000,
    "quotes": "\"'" * 30_000,
    "brackets": "[{" * 30_000,
    "hyphens": "non-" * 15_000,
    "formulas": "x = 5 * " * 4_000,
}
SECONDS = 8
"""A quadratic method needs half a minute."""


class Scripted:
    """Answers for any sentence: itself."""

    def get(self, sentence):
        return sentence


@pytest.mark.slow
@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("name", ["C1", "C2", "C3", "W1", "W3", "S1", "S2", "S3"])  # W2 looks for its words as W1 does
def test_long_words_and_texts_end_in_seconds(name, kind):
    method = ScriptedBackTranslation(Scripted()) if name == "S1" else PERTURBATIONS.create(Spec(name))
    began = time.process_time()
    for segments in ([Segment(TEXTS[kind], True)], split_instruction(TEXTS[kind])):
        if name == "S1":
            method.perturb_all([Text(segments, random.Random(0), frozenset({"list"}))])
        else:
            method.perturb(segments, random.Random(0), frozenset({"list"}))
    assert time.process_time() - began < SECONDS
