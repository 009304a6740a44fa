"""S2 and S3: sentences in the past and in the future tense."""

import random

from raysweep.perturbations.base import PERTURBATIONS
from raysweep.records import Segment, Spec
from tests.perturbations.texts import perturb_text

SENTENCES = [
    "Return a list",
    "Check if two numbers are equal",
    "Given a list of numbers sorted by size, find the ones that are prime.",
    "Sort the list and print it, then remove it.",
    "Write code to sort and print it",
    "Takes a string. Returns decoded text.",
    "It's a list that doesn't end.",
    "You're given words; they aren't sorted",
    "It can be done, it can't be seen, it cannot be",
    "You should stop and must not go.",
    "You must stop.",
    "He won't go, and she will.",
    "You have found what I've lost.",
    "It has been sorted and has not been seen.",
    "He had gone.",
    "Has the list been sorted?",
    "Is the sum of the digits even?",
    "Can you sort the list?",
    "What is the sum?",
    "Do not use loops.",
    "The lists contain numbers and have a length.",
    "The list was sorted by a nested loop.",
    "RETURN THE SUM",
    "The input is a string.",
    "a list of integers",
    "Mean Absolute Deviation is a measure. Sort coordinates by rows.",
    "Count the numbers that start or end with it.",
    "Please note that it ends.",
    "If it is odd, reverse it, otherwise keep it.",
]


def perturbed(name: str, *pieces: Segment, protected: frozenset[str] = frozenset(), **args: object) -> str:
    method = PERTURBATIONS.create(Spec(name, args))
    return "".join(segment.text for segment in method.perturb(pieces, random.Random(0), protected))


def test_finite_verbs_take_the_tense(snapshot):
    tenses = {text: [perturbed(name, Segment(text, True)) for name in ("S2", "S3")] for text in SENTENCES}
    assert tenses == snapshot


def test_a_verb_with_a_protected_word_stays_whole():
    text = Segment("It has been sorted and returns a list.", True)
    assert perturbed("S2", text, protected=frozenset({"been"})) == "It has been sorted and returned a list."


def test_joined_verbs_change_together_or_not_at_all():
    for text in ("Find the sum and return it.", "Sort it, then return it", "It finds a list and return numbers of it"):
        for name in ("S2", "S3"):
            assert perturbed(name, Segment(text, True), protected=frozenset({"return", "finds"})) == text


def test_data_is_never_conjugated():
    text = "Return 'is' if the list [is, was] contains \"has been\""
    assert perturbed("S2", Segment(text, True)) == text.replace("Return", "Returned").replace("contains", "contained")


def test_verbatim_words_are_read_and_never_changed():
    pieces = Segment("The ", True), Segment("numbers", False), Segment(" contain ", True), Segment("is", False)
    assert perturbed("S2", *pieces) == "The numbers contained is"
    question = Segment("Is ", True), Segment("`x`", False), Segment(" even?", True)
    assert perturbed("S3", *question) == "Is `x` even?", "be would have to stand in it"


def test_participles_are_conjugated_only_where_that_is_asked_for():
    assert perturbed("S2", Segment("Sort the given list.", True)) == "Sorted the given list."
    text = Segment("Sort a list sorted by size.", True)
    assert perturbed("S2", text, participles=True) == "Sorted a list sorted by size."
    assert perturbed("S3", text, participles=True) == "Will sort a list will sort by size."


def test_below_strength_1_some_sentences_stay():
    text = "It is one. " * 400
    method = PERTURBATIONS.create(Spec("S2", {"strength": 0.25}))
    changed = perturb_text(method, text, random.Random(0), frozenset()).count("was")
    assert 70 <= changed <= 130
