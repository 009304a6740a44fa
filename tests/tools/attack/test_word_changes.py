import random

from hypothesis import given
from hypothesis import strategies as st

from raysweep.perturbations.base import PERTURBATIONS
from raysweep.prompts.regions import protected_words, split_prompt
from raysweep.records import Segment, Spec
from raysweep.tools.attack.word_changes import Size, apply_edits, keep_some, size_of, without_each, word_edits

BEFORE = "Return the sum of all even numbers."
AFTER = "Retrun the total sum of all EVEN numbers."
PROMPT = (
    'def f(numbers: list) -> int:\n    """Add two to two of all two numbers, and two Two of the The TWO, then to two.\n'
    '    >>> f([1, 2])\n    2\n    Two or two to add, or TWO.\n    """\n'
)
texts = st.text("ab .\n", max_size=30)


def natural(text):
    return [Segment(text, True)]


def joined(segments):
    return "".join(segment.text for segment in segments)


def edits(before, after):
    return word_edits(natural(before), natural(after))


def test_a_change_is_counted_in_words_and_in_characters():
    assert size_of(edits(BEFORE, BEFORE)) == Size(0, 0)
    assert size_of(edits(BEFORE, BEFORE.replace("sum", "smu"))) == Size(1, 2)
    assert size_of(edits(BEFORE, AFTER)) == Size(3, 2 + len("total ") + 4)
    assert size_of(edits(BEFORE, "Return the sum.")) < size_of(edits(BEFORE, ""))


@given(st.lists(texts, max_size=3), st.data())
def test_all_edits_of_a_text_turn_it_into_the_other(before, data):
    before = [Segment(text, True) for text in before]
    after = [Segment(data.draw(texts), True) for _ in before]
    assert list(apply_edits(before, word_edits(before, after))) == after
    assert list(apply_edits(before, ())) == before


@given(texts, texts, st.integers(0, 5), st.integers())
def test_only_as_many_changed_words_are_kept_as_allowed(before, after, words, seed):
    change = edits(before, after)
    kept = keep_some(change, words, random.Random(seed))
    assert set(kept) <= set(change) and (size_of(change).words > words or kept == change)
    assert size_of(kept).words <= max(words, 0)


def test_the_kept_changes_are_chosen_at_random():
    change = edits(BEFORE, AFTER)
    kept = {joined(apply_edits(natural(BEFORE), keep_some(change, 1, random.Random(seed)))) for seed in range(30)}
    assert kept == {
        "Retrun the sum of all even numbers.",
        "Return the total sum of all even numbers.",
        "Return the sum of all EVEN numbers.",
    }


def test_a_changed_word_stands_at_its_own_place_though_another_one_is_spelled_like_it():
    assert [edit.new for edit in edits("the sum of two Sum", "the Sum of two sum")] == ["Sum", "sum"]
    assert [edit.start for edit in edits("a b b", "b b c")] == [0, 4]
    assert [edit.new for edit in edits("add one to two", "add a single one to Two")] == [" a single", "Two"]


@given(st.sampled_from(["C1", "C2", "C3", "C", "W2"]), st.integers(0, 12), st.integers())
def test_each_word_is_the_old_or_the_new_one_of_its_place(name, words, seed):
    rng, segments = random.Random(seed), split_prompt(PROMPT, "f")
    method = PERTURBATIONS.create(Spec(name, {"strength": 4.0}))
    drawn = method.perturb(segments, rng, protected_words(PROMPT))
    change = word_edits(segments, drawn)
    for some in (keep_some(change, words, rng), *without_each(change)):
        made = apply_edits(segments, some)
        for before, after, mixed in zip(segments, drawn, made, strict=True):
            places = zip(before.text.split(), after.text.split(), mixed.text.split(), strict=True)
            assert all(word in (old, new) for old, new, word in places)


def test_changes_are_left_out_one_after_the_other():
    change = edits("a b c", "x b y")
    assert [joined(apply_edits(natural("a b c"), some)) for some in without_each(change)] == ["a b y", "x b c"]
