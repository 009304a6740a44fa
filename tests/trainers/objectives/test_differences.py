from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.models.scratch import train_tokenizer
from raysweep.trainers.objectives.differences import marks
from tests.tiny import pairs

LINES = st.lists(st.sampled_from(["a = 1", "if x:", "\treturn i", "    y = 'ü→𝄞'", "", "  ", "return i-1"]), max_size=6)
TEXTS = st.builds(
    lambda lines, end, last: end.join(lines) + last,
    LINES,
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n", "\r\n"]),
)


def spans_of_words(text: str) -> list[tuple[int, int]]:
    """Cut a text into pieces of one to three characters, as a tokenizer might, across line breaks too."""
    rng, spans, at = random.Random(text), [], 0
    while at < len(text):
        size = min(rng.randint(1, 3), len(text) - at)
        spans.append((at, at + size))
        at += size
    return spans


def shown(text: str, characters) -> str:
    return "".join(character if mark else "." for character, mark in zip(text, characters, strict=True))


def test_the_characters_that_differ_are_marked_twice_and_the_rest_of_their_lines_once():
    response, rejected = marks("def f(i):\n    return i\n", "def f(i):\n    return i-1\n")
    assert shown(response.text, response.lines) == "." * 10 + "    return i\n"
    assert not response.characters.any()
    assert shown(rejected.text, rejected.characters) == "." * 22 + "-1."
    spans = [(0, 10), (10, 14), (14, 20), (20, 22), (22, 23), (23, 24), (24, 25), (0, 0)]
    by_line, by_character = rejected.of_tokens(spans)
    assert (by_line.astype(int) + by_character).tolist() == [0, 1, 1, 1, 2, 2, 1, 0]


def test_whole_lines_count_with_all_their_characters():
    response, rejected = marks("a\nb\nc\n", "a\nc\n")
    assert shown(response.text, response.characters) == "..b\n.."
    assert not rejected.lines.any() and not rejected.characters.any()


def test_a_token_of_line_breaks_that_begins_in_an_unmarked_line_is_not_marked():
    response, _ = marks("a\n\nb\n", "a\nb\n")  # the blank line was inserted
    by_line, by_character = response.of_tokens([(0, 1), (1, 3), (3, 4), (4, 5)])
    assert not by_line.any() and not by_character.any()


def test_characters_are_aligned_within_a_block_of_lines_only():
    response, rejected = marks("x = 12\nsame\ny = 1\n", "x = 1\nsame\ny = 12\n")
    assert shown(response.text, response.characters).strip(".") == "2"
    assert shown(rejected.text, rejected.characters).strip(".") == "2"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_missing_last_line_break_is_a_difference_of_the_last_line(end):
    response, rejected = marks(f"a{end}b{end}", f"a{end}b")
    assert shown(response.text, response.characters).strip(".") == end
    assert not rejected.characters.any() and rejected.lines.any()


@given(TEXTS, TEXTS)
def test_marked_characters_lie_in_marked_lines_and_equal_texts_have_none(one, other):
    for side in marks(one, other):
        assert not (side.characters & ~side.lines).any()
        by_line, by_character = side.of_tokens(spans_of_words(side.text))
        assert not (by_character & ~by_line).any()  # V_token <= V_l2t
    assert not any(side.lines.any() for side in marks(one, one))
    if one != other:
        assert any(side.lines.any() for side in marks(one, other))


@given(TEXTS, st.text("ab=ü𝄞 \t-1", max_size=12), st.text("ab=ü𝄞 \t-1", max_size=12), TEXTS)
def test_a_swap_swaps_the_marks_of_any_two_lines(before, one, other, after):
    texts = [f"{before}\n# {line}\n{after}" for line in (one, other)]
    first, second = marks(*texts), marks(*reversed(texts))
    for ours, theirs in zip(first, reversed(second), strict=True):
        assert (ours.lines == theirs.lines).all() and (ours.characters == theirs.characters).all()


@given(TEXTS, TEXTS)
def test_without_its_marked_characters_each_text_is_the_same(one, other):
    rest = [
        [character for character, mark in zip(side.text, side.characters, strict=True) if not mark]
        for side in marks(one, other)
    ]
    assert rest[0] == rest[1]


def test_lines_one_by_one_mark_what_offsets_mark_where_no_token_crosses_a_line_break():
    tokenizer = train_tokenizer([prompt + output for prompt, output in pairs()], 300)
    for _, output in pairs(8):
        rejected = output.replace("x", "xs")
        for side in marks(output, rejected):
            encoded = tokenizer(side.text, add_special_tokens=False, return_offsets_mapping=True)
            spans = encoded["offset_mapping"]
            by_line, _ = side.of_tokens(spans)
            line_of = [side.text[:first].count("\n") for first, _ in spans]
            marked = {side.text[:at].count("\n") for at in side.lines.nonzero()[0]}
            assert by_line.tolist() == [line in marked for line in line_of]
