"""The shipped WordNet: the first words of synsets."""

import gzip
from importlib.resources import files

import pytest

from raysweep.language.synonyms import wordnet_table
from raysweep.language.synonyms.base import SYNONYMS
from raysweep.language.synonyms.wordnet import TABLE
from raysweep.records import Spec

WORDNET = SYNONYMS.create(Spec("wordnet"))


@pytest.mark.parametrize(
    ("word", "upos", "some"),
    [
        ("phone", "NOUN", {"telephone", "earphone"}),
        ("number", "NOUN", {"phone number", "numeral", "issue"}),
        ("closer", "ADJ", {"airless", "near"}),  # a comparative; its synsets are those of "close"
        ("separate", "VERB", {"distinguish", "divide"}),
        ("men", "NOUN", {"man", "serviceman"}),  # irregular
        ("given", "VERB", {"yield", "impart"}),
        ("boxes", "NOUN", {"box"}),
        ("quickly", "ADV", {"promptly"}),
    ],
)
def test_words_are_found_inflected_or_not(word, upos, some):
    assert some <= set(WORDNET.heads(word, upos))


def test_the_first_sense_comes_first_and_unknown_words_and_other_parts_of_speech_have_none():
    assert WORDNET.heads("list", "NOUN")[0] == "list" and WORDNET.heads("give", "VERB")[0] == "give"
    for word, upos in (("xyzzy", "NOUN"), ("phone", ""), ("the", "NOUN"), ("", "VERB")):
        assert list(WORDNET.heads(word, upos)) == []
    licence = files("raysweep.language.synonyms").joinpath("WORDNET-LICENSE").read_text()
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence, "it is shipped with the table"


@pytest.mark.parametrize(
    ("word", "upos", "same"),
    [
        ("result", "NOUN", {"consequence", "effect", "upshot"}),
        ("integer", "NOUN", {"whole number"}),
        ("big", "ADJ", {"large"}),
        ("string", "NOUN", set()),  # "twine" is in the first synset, but the counted texts don't have it
        ("number", "NOUN", set()),  # "figure" is used in other senses more often
        ("sum", "NOUN", {"amount"}),  # and no phrases of three words
        ("xyzzy", "NOUN", set()),
        ("big", "", set()),
    ],
)
def test_frequent_synonyms_share_their_most_frequent_sense(word, upos, same):
    assert set(WORDNET.frequent(word, upos)) == same


@pytest.mark.slow
def test_the_table_is_what_its_script_makes_of_debians_files():
    if not wordnet_table.DEBIAN.is_dir():
        pytest.skip("Debian's wordnet-base isn't installed")
    shipped = gzip.decompress(files("raysweep.language.synonyms").joinpath(TABLE).read_bytes()).decode()
    assert wordnet_table.table(wordnet_table.DEBIAN) == shipped
