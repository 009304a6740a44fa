"""Apertium: words that are kept on the way to Spanish and back, and translations that are not believed."""

import pytest

from raysweep.language.translation.base import TRANSLATORS, is_believable, locate
from raysweep.records import Segment, Spec

APERTIUM = TRANSLATORS.create(Spec("apertium"))
needed = pytest.mark.skipif(bool(APERTIUM.lacks()), reason=APERTIUM.lacks())


def sentence(text: str) -> list[Segment]:
    """A sentence whose verbatim pieces are in back-ticks."""
    return [Segment(piece, at % 2 == 0) for at, piece in enumerate(text.split("`")) if piece]


@pytest.mark.slow
@needed
def test_most_sentences_come_back_changed_with_code_and_technical_words_as_they_were():
    texts = [
        "Check if in given list of `numbers`, are any two `numbers` closer to each other than given `threshold`.",
        "You are given a string `s`, and your task is to check if the string is happy or not.",
        "Write a function that takes two lists and determines whether it is possible to exchange 3 elements.",
        "The number of stones in the next level is the next odd number if `n` is odd.",
    ]
    made = APERTIUM.back_translate([sentence(text) for text in texts])
    changed = [text for text, clean in zip(made, texts, strict=True) if text and text != clean.replace("`", "")]
    assert len(changed) >= 3
    for text, clean in zip(made, texts, strict=True):
        for word in ("list", "string", "numbers", "threshold", "odd", " n ", "3"):
            assert text is None or text.count(word) == clean.replace("`", "").count(word), (word, text)


@pytest.mark.slow
@needed
def test_one_sentence_more_or_less_changes_no_other():
    texts = [sentence(f"The {word} is given to the other function.") for word in ("boy", "<b>", "& so on")]
    texts.append(sentence("The boy has `x^2` houses."))  # a caret in the last sentence loses none
    together = APERTIUM.back_translate(texts)
    assert [APERTIUM.back_translate([text])[0] for text in texts] == together and together[-1] is not None
    assert APERTIUM.back_translate([]) == [] and "apertium 3." in APERTIUM.fingerprint()["translator"]


@pytest.mark.parametrize(
    ("clean", "translated", "believed"),
    [
        ("Sort the `xs` by size now", "Order the xs by size now", True),
        ("Sort the `xs` by size now", "Order the xsy by size now", False),
        ("Sort `a` before `b` in it", "Order a before b in him", True),
        ("Sort `a` before `b` in it", "Order b before a in him", False),
        ("Take the first 3 of 10 words", "Take the first 10 of 3 words", True),
        ("Take the first 3 of 10 words", "Take the first three of 10 words", False),
        ("Take them all and sort them", "Take", False),
        ("Take them all", "Take them all, each one of them, and all the others", False),
    ],
)
def test_a_translation_is_believed_if_it_has_code_numbers_and_length(clean, translated, believed):
    assert is_believable(sentence(clean), translated) is believed


def test_pieces_are_found_as_words_of_their_own():
    assert locate(sentence("the `n` in `it`"), "in the n of it") == [7, 12]
    assert locate(sentence("the `n` in"), "in then") is None
