import random

from hypothesis import given
from hypothesis import strategies as st

from raysweep.perturbations.word_changes import Size, applied, keep_some, nearer, size_of, taken_back, word_edits

BEFORE = "Return the sum of all even numbers."
AFTER = "Retrun the total sum of all EVEN numbers."
texts = st.text("ab .\n", max_size=30)


def test_a_change_is_counted_in_words_and_in_characters():
    assert size_of(BEFORE, BEFORE) == Size(0, 0)
    assert size_of(BEFORE, BEFORE.replace("sum", "smu")) == Size(1, 2)
    assert size_of(BEFORE, AFTER) == Size(3, 2 + len("total ") + 4)
    assert size_of(BEFORE, "Return the sum.") < size_of(BEFORE, "")


@given(texts, texts)
def test_all_edits_of_a_text_make_the_other(before, after):
    assert applied(before, word_edits(before, after)) == after
    assert applied(before, []) == before


@given(texts, texts, st.integers(0, 5), st.integers())
def test_of_the_changes_as_many_are_kept_as_fit(before, after, words, seed):
    kept = keep_some(before, after, words, random.Random(seed))
    assert kept in (before, after) or words > 0
    assert sum(edit.words for edit in word_edits(before, after)) > words or kept == after


def test_which_changes_are_kept_is_drawn():
    kept = {keep_some(BEFORE, AFTER, 1, random.Random(seed)) for seed in range(30)}
    assert kept == {
        "Retrun the sum of all even numbers.",
        "Return the total sum of all even numbers.",
        "Return the sum of all EVEN numbers.",
    }


def test_changes_are_taken_back_one_after_the_other():
    assert list(taken_back("a b c", "x b y")) == ["a b y", "x b c"]
    assert list(nearer("the sum", "THE sum")) == ["tHE sum", "ThE sum", "THe sum"]
    assert list(nearer("a sum", "a large sum")) == ["a sum"]
