"""S2 and S3: sentences in the past and in the future tense."""

import random

import pytest

from raysweep.perturbations.base import PERTURBATIONS
from raysweep.records import Segment, Spec
from raysweep.testing.perturbations import perturb_text

SENTENCES = [
    ("Return a list", "Returned a list", "Will return a list"),
    ("Check if two numbers are equal", "Checked if two numbers were equal", "Will check if two numbers will be equal"),
    (
        "Given a list of numbers sorted by size, find the ones that are prime.",
        "Given a list of numbers sorted by size, found the ones that were prime.",
        "Given a list of numbers sorted by size, will find the ones that will be prime.",
    ),
    (
        "Sort the list and print it, then remove it.",
        "Sorted the list and printed it, then removed it.",
        "Will sort the list and print it, then remove it.",
    ),
    ("Write code to sort and print it", "Wrote code to sort and print it", "Will write code to sort and print it"),
    (
        "Takes a string. Returns decoded text.",
        "Took a string. Returned decoded text.",
        "Will take a string. Will return decoded text.",
    ),
    ("It's a list that doesn't end.", "It was a list that didn't end.", "It will be a list that won't end."),
    (
        "You're given words; they aren't sorted",
        "You were given words; they weren't sorted",
        "You will be given words; they won't be sorted",
    ),
    (
        "It can be done, it can't be seen, it cannot be",
        "It could be done, it couldn't be seen, it could not be",
        "It will be able to be done, it won't be able to be seen, it will not be able to be",
    ),
    ("You should stop and must not go.", "You should stop and must not go.", "You will have to stop and will not go."),
    ("You must stop.", "You had to stop.", "You will have to stop."),
    ("He won't go, and she will.", "He wouldn't go, and she would.", "He won't go, and she will."),
    ("You have found what I've lost.", "You found what I lost.", "You will find what I will lose."),
    (
        "It has been sorted and has not been seen.",
        "It was sorted and was not seen.",
        "It will be sorted and will not be seen.",
    ),
    ("He had gone.", "He had gone.", "He will go."),
    ("Has the list been sorted?", "Was the list sorted?", "Will the list be sorted?"),
    ("Is the sum of the digits even?", "Was the sum of the digits even?", "Will the sum of the digits be even?"),
    ("Can you sort the list?", "Could you sort the list?", "Will you be able to sort the list?"),
    ("What is the sum?", "What was the sum?", "What will be the sum?"),
    ("Do not use loops.", "Did not use loops.", "Will not use loops."),
    (
        "The lists contain numbers and have a length.",
        "The lists contained numbers and had a length.",
        "The lists will contain numbers and will have a length.",
    ),
    (
        "The list was sorted by a nested loop.",
        "The list was sorted by a nested loop.",
        "The list will be sorted by a nested loop.",
    ),
    ("RETURN THE SUM", "RETURNED THE SUM", "WILL RETURN THE SUM"),
    ("The input is a string.", "The input was a string.", "The input will be a string."),
    ("a list of integers", "a list of integers", "a list of integers"),
    (
        "Mean Absolute Deviation is a measure. Sort coordinates by rows.",
        "Mean Absolute Deviation was a measure. Sorted coordinates by rows.",
        "Mean Absolute Deviation will be a measure. Will sort coordinates by rows.",
    ),
    (
        "Count the numbers that start or end with it.",
        "Counted the numbers that started or ended with it.",
        "Will count the numbers that will start or will end with it.",
    ),
    ("Please note that it ends.", "Please note that it ended.", "Please note that it will end."),
    (
        "If it is odd, reverse it, otherwise keep it.",
        "If it was odd, reversed it, otherwise kept it.",
        "If it will be odd, will reverse it, otherwise keep it.",
    ),
]


def perturbed(name: str, *pieces: Segment, protected: frozenset[str] = frozenset(), **args: object) -> str:
    method = PERTURBATIONS.create(Spec(name, args))
    return "".join(segment.text for segment in method.perturb(pieces, random.Random(0), protected))


@pytest.mark.parametrize(("text", "past", "future"), SENTENCES)
def test_finite_verbs_take_the_tense(text, past, future):
    assert perturbed("S2", Segment(text, True)) == past
    assert perturbed("S3", Segment(text, True)) == future


def test_a_verb_with_a_protected_word_stays_whole():
    text = Segment("It has been sorted and returns a list.", True)
    assert perturbed("S2", text, protected=frozenset({"been"})) == "It has been sorted and returned a list."


@pytest.mark.parametrize(
    "text", ["Find the sum and return it.", "Sort it, then return it", "It finds a list and return numbers of it"]
)
def test_joined_verbs_change_together_or_not_at_all(text):
    protected = frozenset({"return", "finds"})
    for name in ("S2", "S3"):
        assert perturbed(name, Segment(text, True), protected=protected) == text


def test_data_is_never_conjugated():
    text = "Return 'is' if the list [is, was] contains \"has been\""
    assert perturbed("S2", Segment(text, True)) == text.replace("Return", "Returned").replace("contains", "contained")


def test_verbatim_words_are_read_and_never_changed():
    pieces = Segment("The ", True), Segment("numbers", False), Segment(" contain ", True), Segment("is", False)
    assert perturbed("S2", *pieces) == "The numbers contained is"
    question = Segment("Is ", True), Segment("`x`", False), Segment(" even?", True)
    assert perturbed("S3", *question) == "Is `x` even?", "be would have to stand in it"


def test_participles_are_conjugated_only_where_that_is_asked_for():
    text = Segment("Sort the given list.", True)
    assert perturbed("S2", text) == "Sorted the given list."
    assert (
        perturbed("S2", Segment("Sort a list sorted by size.", True), participles=True)
        == "Sorted a list sorted by size."
    )
    assert (
        perturbed("S3", Segment("Sort a list sorted by size.", True), participles=True)
        == "Will sort a list will sort by size."
    )


def test_below_strength_1_some_sentences_stay():
    text = "It is one. " * 400
    method = PERTURBATIONS.create(Spec("S2", {"strength": 0.25}))
    changed = perturb_text(method, text, random.Random(0), frozenset()).count("was")
    assert 70 <= changed <= 130
