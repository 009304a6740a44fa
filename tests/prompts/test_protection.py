"""Words that no method may change."""

import pytest

from raysweep.prompts.protection import change_words, is_protected, protected_spans
from raysweep.records import Segment


@pytest.mark.parametrize(
    ("word", "expected"),
    [("list", True), ("(list)", True), ("list's", True), ("list_of", True), ("lists", False), ("of-list", False)],
)
def test_a_word_is_protected_by_its_first_alphanumeric_run(word, expected):
    assert is_protected(word, frozenset({"list"})) is expected


def test_a_protected_word_between_line_breaks_or_tabs_is_kept_and_its_neighbours_change():
    text, code = "Take a\nlist\nof\tself and it.", Segment("return the list", False)
    changed = change_words([Segment(text, True), code], frozenset({"list", "self"}), str.upper)
    assert changed == [Segment("TAKE A\nlist\nOF\tself AND IT.", True), code]
    assert [text[start:stop] for start, stop in protected_spans(text, frozenset({"list", "self"}))] == ["list", "self"]


def test_words_are_the_pieces_between_single_spaces():
    seen = []
    text = [Segment("a  list of\n\tthem", True)]
    assert change_words(text, frozenset({"list"}), lambda word: seen.append(word) or word) == text
    assert seen == ["a", "", "of\n\tthem"]
