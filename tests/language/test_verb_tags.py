"""Imperatives are verbs, and nouns that look like verbs are nouns."""

import pytest

from raysweep.language.finite_verbs import finite_verbs
from raysweep.language.tokens import tagged_sentences
from raysweep.records import Segment


def sentence_of(text: str):
    (sentence,) = tagged_sentences((Segment(text, True),), "hanta")
    return sentence


@pytest.mark.parametrize(
    ("text", "verbs"),
    [
        ("Return the largest number", ["Return"]),
        ("Sort numbers", ["Sort"]),
        ("Count vowels in a string", ["Count"]),
        ("Find the minimum and return it", ["Find", "return"]),
        ("Sort, filter and print the list", ["Sort", "filter", "print"]),
        ("Split the string, then sort and join them", ["Split", "sort", "join"]),
        ("For similar numbers, sort based on their value", ["sort"]),
        ("If it is odd, double it, otherwise halve it", ["is", "double", "halve"]),
        ("Takes a list and returns its sum", ["Takes", "returns"]),
        ("Mean Absolute Deviation is the average difference", ["is"]),
        ("Input numbers are sorted", ["are"]),
        ("Write a function which sorts the list", ["Write", "sorts"]),
        ("Sum of digits", []),
        ("Sort coordinates by rows", ["Sort"]),
        ("The nodes have values", ["have"]),
        ("Return the sum and count of numbers", ["Return"]),
    ],
)
def test_finite_verbs_of_instructions(text, verbs):
    sentence = sentence_of(text)
    assert [sentence[verb.index].text for verb in finite_verbs(sentence)] == verbs


def test_joined_verbs_share_a_chain_and_others_do_not():
    sentence = sentence_of("Find the list that it contains and sort it and print it")
    chains = {sentence[verb.index].text: verb.chain for verb in finite_verbs(sentence)}
    assert chains["sort"] == chains["print"] and chains["contains"] != chains["sort"]


@pytest.mark.parametrize("text", ["Return numbers", "Print numbers", "Sort numbers", "Filter numbers"])
def test_an_imperative_is_a_verb_for_all_methods(text):
    assert [(token.tag, token.pos) for token in sentence_of(text)] == [("VB", "VERB"), ("NNS", "NOUN")]
