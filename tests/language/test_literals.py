"""Data in natural language: literals, formulas, indices, grades and one-letter names are found, and prose is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.language.literals import compound_spans, literal_spans, with_blanks_around
from raysweep.language.tokens import tagged_sentences
from raysweep.records import Segment


def found(text: str) -> list[str]:
    (spans,) = literal_spans([Segment(text, True)])
    return [text[start:end] for start, end in spans]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("the polynomial x^2 of degree 2", ["x^2"]),
        ("the element a[k] and k", ["a[k]", "k"]),
        ("the vowels are 'a', 'e' and 'u'.", ["'a'", "'e'", "'u'"]),
        ('say "hello world" or “good bye”', ['"hello world"', "“good bye”"]),
        ("one of ['bread', 'milk'] or {red, green}", ["['bread', 'milk']", "{red, green}"]),
        ("grades such as A+, B and C-", ["A+,", "B", "C"]),
        ("only 1s and 2n digits", ["1s", "2n"]),
        ("let total = 5 here", ["total", "=", "5"]),
        ("* the first item\n> a quotation", []),
        ("a list, and I don't know the students' names; it's here", []),
        ("sum of digits (of the list) and/or a product", []),
        ("an open [ bracket\n\nand prose that goes on ]", []),
    ],
)
def test_data_is_found_and_prose_is_not(text, wanted):
    assert found(text) == wanted


def test_literals_over_segments_compounds_and_pieces_between_blanks():
    segments = [Segment("return '", True), Segment("numbers", False), Segment(" found' then", True)]
    assert literal_spans(segments) == [[(7, 8)], [], [(0, 7)]]
    assert compound_spans("a non-empty list - sorted") == [(2, 11)]
    assert with_blanks_around('say ("hello world") now', [(5, 18)]) == [(4, 11), (12, 19)]


def test_tokens_know_that_they_are_data():
    (sentence,) = tagged_sentences((Segment("Write 'u' to a non-empty a[k]", True),), "hanta")
    assert [token.text for token in sentence if token.is_word] == ["Write", "to", "a"]


@given(st.lists(st.tuples(st.text("ab '\"[]{}=x\n-1", max_size=20), st.booleans()), max_size=5))
def test_spans_are_in_order_and_inside_their_segments(pieces):
    segments = [Segment(text, natural) for text, natural in pieces]
    for segment, spans in zip(segments, literal_spans(segments), strict=True):
        edges = [edge for span in spans for edge in span]
        assert edges == sorted(edges) and all(0 <= edge <= len(segment.text) for edge in edges)
        assert segment.natural or not spans
