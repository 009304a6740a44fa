"""Differences that a person can read."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.analysis.page.textdiff import Change, changes

texts = st.text("ab \nAB.", max_size=40) | st.text(max_size=30)


def compact(before, after):
    marks = {"equal": "{}", "removed": "[-{}]", "added": "[+{}]"}
    return "".join(marks[piece.kind].format(piece.text) for piece in changes(before, after))


@pytest.mark.slow
@given(texts, texts)
@settings(max_examples=300)
def test_the_pieces_give_both_texts_back(before, after):
    pieces = changes(before, after)
    assert "".join(p.text for p in pieces if p.kind != "added") == before
    assert "".join(p.text for p in pieces if p.kind != "removed") == after
    assert all(p.text for p in pieces)
    assert all(one.kind != other.kind for one, other in pairwise(pieces))


def test_equal_texts_are_one_equal_piece():
    assert changes("one two", "one two") == [Change("equal", "one two")]
    assert changes("", "") == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("Check it twice", "Chefk it twice", "Che[-c][+f]k it twice"),
        ("a function to", "a fucntion to", "a fu[-nc][+cn]tion to"),
        ("the same the other", "teh same the ohter", "t[-he][+eh] same the o[-th][+ht]er"),
        ("stop, please", "sto[, please", "sto[-p][+[], please"),
        ("Write it", "wRITE it", "[-Write][+wRITE] it"),
        ("find numbers here", "find obtain numbers here", "find[+ obtain] numbers here"),
        ("one\n    two", "one\n    twp", "one\n    tw[-o][+p]"),
        ("", "new", "[+new]"),
        ("old", "", "[-old]"),
    ],
)
def test_typos_are_marked_inside_their_word(before, after, expected):
    assert compact(before, after) == expected


@pytest.mark.parametrize(
    ("before", "after", "marked"),
    [
        ("(containing,", "(control,", "([-containing-]{+control+},"),
        ("a word, b", "a words, b", "a [-word-]{+words+}, b"),
        ("it's x-ray", "it isn't x-ray", "[-it's-]{+it isn't+} x-ray"),
        ("pre-made", "pre-unmade", "pre-[-made-]{+unmade+}"),
        ("same same", "same same", "same same"),
        ("ab", "aXb", "[-ab-]{+aXb+}"),
    ],
)
def test_whole_words_are_marked_without_their_punctuation(before, after, marked):
    marks = {"equal": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}
    pieces = changes(before, after, whole_words=True)
    assert "".join(marks[piece.kind].format(piece.text) for piece in pieces) == marked
    assert "".join(piece.text for piece in pieces if piece.kind != "added") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == after
