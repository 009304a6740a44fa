"""Sentences and tokens of a text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.language.tokens import tagged_sentences
from raysweep.records import Segment


def sentences(*pieces: str | Segment) -> list[list[str]]:
    segments = tuple(piece if isinstance(piece, Segment) else Segment(piece, True) for piece in pieces)
    return [[token.text for token in sentence] for sentence in tagged_sentences(segments, "hanta")]


def code(text: str) -> Segment:
    return Segment(text, False)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Sort it. Return it!", ["Sort it .", "Return it !"]),
        ("Sort it, e.g. by size, etc. or not", ["Sort it , e.g. by size , etc. or not"]),
        ("a line\n   that goes on", ["a line that goes on"]),
        ("a title\n\nanother", ["a title", "another"]),
        ("The items:\n- one\n- two", ["The items :", "- one", "- two"]),
        ("first\n 1. one\n 2) two", ["first", "1 .", "one", "2 ) two"]),
        ("It isn't what you've got, it's John's", ["It is n't what you 've got , it 's John 's"]),
        ("can't", ["ca n't"]),
        ("version 3.5 of x_1", ["version 3 . 5 of x _ 1"]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_sentences_end_where_they_should(text, wanted):
    assert [" ".join(words) for words in sentences(text)] == wanted


def test_verbatim_words_are_part_of_their_sentence_and_blocks_end_one():
    found = sentences("Sort ", code("`numbers`"), " by size\n", code("  >>> f(1)\n  2\n"), "then return")
    assert found == [["Sort", "`numbers`", "by", "size"], ["then", "return"]]


def test_auxiliaries_have_no_part_of_speech_of_their_own():
    (sentence,) = tagged_sentences((Segment("It has been found, does not contain two and is done", True),), "hanta")
    verbs = {token.text: token.pos for token in sentence if token.tag.startswith("VB")}
    assert verbs == {"has": "", "been": "", "found": "VERB", "does": "", "contain": "VERB", "is": "", "done": "VERB"}
    (sentence,) = tagged_sentences((Segment("It has a length and does the work", True),), "hanta")
    assert [token.pos for token in sentence if token.text in ("has", "does")] == ["VERB", "VERB"]


@pytest.mark.slow
@given(st.lists(st.tuples(st.text(max_size=30), st.booleans()), max_size=6))
@settings(max_examples=80)
def test_every_token_is_at_its_position_and_none_is_lost(pieces):
    segments = tuple(Segment(text, natural) for text, natural in pieces)
    tokens = [token for sentence in tagged_sentences(segments, "hanta") for token in sentence]
    for token in tokens:
        assert segments[token.segment].text[token.start : token.end] == token.text
    for index, segment in enumerate(segments):
        if segment.natural:
            seen = "".join(token.text for token in tokens if token.segment == index)
            assert seen == "".join(segment.text.split())
