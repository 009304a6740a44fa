import random

from hypothesis import given
from hypothesis import strategies as st

from raysweep.tools.attack.word_changes import (
    Size,
    apply_edits,
    keep_some,
    revert_characters,
    revert_words,
    size_of,
    word_edits,
)

BEFORE = "Return the sum of all even numbers."
AFTER = "Retrun the total sum of all EVEN numbers."
texts = st.text("ab .\n", max_size=30)


def test_a_change_is_counted_in_words_and_in_characters():
    assert size_of(BEFORE, BEFORE) == Size(0, 0)
    assert size_of(BEFORE, BEFORE.replace("sum", "smu")) == Size(1, 2)
    assert size_of(BEFORE, AFTER) == Size(3, 2 + len("total ") + 4)
    assert size_of(BEFORE, "Return the sum.") < size_of(BEFORE, "")


@given(texts, texts)
def test_all_edits_of_a_text_turn_it_into_the_other(before, after):
    assert apply_edits(before, word_edits(before, after)) == after
    assert apply_edits(before, []) == before


@given(texts, texts, st.integers(0, 5), st.integers())
def test_only_as_many_changed_words_are_kept_as_allowed(before, after, words, seed):
    kept = keep_some(before, after, words, random.Random(seed))
    assert kept in (before, after) or words > 0
    assert sum(edit.words for edit in word_edits(before, after)) > words or kept == after


def test_the_kept_changes_are_chosen_at_random():
    kept = {keep_some(BEFORE, AFTER, 1, random.Random(seed)) for seed in range(30)}
    assert kept == {
        "Retrun the sum of all even numbers.",
        "Return the total sum of all even numbers.",
        "Return the sum of all EVEN numbers.",
    }


def test_changes_are_reverted_one_after_the_other():
    assert list(revert_words("a b c", "x b y")) == ["a b y", "x b c"]
    assert list(revert_characters("the sum", "THE sum")) == ["tHE sum", "ThE sum", "THe sum"]
    assert list(revert_characters("a sum", "a large sum")) == ["a sum"]
