"""W1, W2 and W3: synonyms are inserted, synonyms replace words, words are inflected."""

import random
import re

import pytest

from raysweep.errors import UsageError
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.edits import Edit, apply_edits, copy_case
from raysweep.records import Segment, Spec
from tests.perturbations.texts import perturb_text

TEXT = "Return the largest number of a given list, and print the phone quickly. "


def texts(name: str, text: str, count: int = 200, **args: object) -> list[str]:
    method = PERTURBATIONS.create(Spec(name, args))
    return [perturb_text(method, text, random.Random(seed), frozenset()) for seed in range(count)]


def test_w1_inserts_a_synonym_after_half_of_the_content_words():
    made = texts("W1", "The phone is there.", 400)
    found = [re.fullmatch(r"The phone(?: (telephone|earphone))? is there\.", text) for text in made]
    assert all(found)
    assert 150 <= sum(match[1] is not None for match in found) <= 250
    assert {match[1] for match in found} == {None, "telephone", "earphone"}


def test_w2_replaces_half_of_the_words_by_a_synonym():
    made = texts("W2", "The phone is there.", 400)
    assert set(made) == {"The phone is there.", "The telephone is there.", "The earphone is there."}
    assert 150 <= made.count("The phone is there.") <= 250
    text = "phone " * 2000
    for strength, low, high in [(0.2, 150, 250), (1, 900, 1100), (2, 2000, 2000)]:
        (one,) = texts("W2", text, 1, strength=strength)
        assert low <= 2000 - one.split().count("phone") <= high


def test_w3_draws_a_form_for_every_noun_verb_and_adjective():
    made = texts("W3", "The child writes a big word.")
    words = list(zip(*(text.split() for text in made), strict=True))
    assert set(words[1]) == {"child", "children"}
    assert set(words[2]) == {"write", "writes", "wrote", "written", "writing"}
    assert set(words[4]) == {"big", "bigger", "biggest"}
    assert set(words[5]) == {"word.", "words."}


@pytest.mark.parametrize("name", ["W1", "W2", "W3"])
def test_forms_of_be_and_auxiliaries_stay(name):
    for text in texts(name, "It is found, has been seen and does not end."):
        assert text.startswith("It is ") and " has been " in text and " does not " in text


def test_stop_words_get_no_synonym_inserted_but_may_be_replaced():
    text = "It is only here."
    assert set(texts("W1", text)) == {text}
    assert {"It is only here.", "It is merely here."} < set(texts("W2", text))


@pytest.mark.parametrize("name", ["W2", "W3"])
def test_capitals_are_kept(name):
    for text in texts(name, "Numbers are FINE."):
        first, *_, last = text.split(" ")
        assert first[0].isupper() and first[1:].islower() and last.isupper()


def test_the_fingerprint_names_the_language_resources():
    assert PERTURBATIONS.create(Spec("W2")).fingerprint().keys() == {"rules", "word_rules", "tagger", "wordnet"}
    assert PERTURBATIONS.create(Spec("W3")).fingerprint().keys() == {"inflections", "rules", "word_rules", "tagger"}
    assert "terms" in PERTURBATIONS.create(Spec("W1", {"senses": "frequent"})).fingerprint()


@pytest.mark.parametrize("members", [["W3", "S2"], ["S2", "W3"], ["C1", "W3", "S3"]])
def test_a_mixs_fingerprint_holds_the_versions_of_each_member(members):
    mix = PERTURBATIONS.create(Spec("mix", {"members": members})).fingerprint()
    for name in members:
        assert PERTURBATIONS.create(Spec(name)).fingerprint().items() <= mix.items()


def test_edits_leave_every_other_character_alone():
    segments = [Segment("one two three", True), Segment("four", False), Segment("five", True)]
    made = apply_edits(segments, [Edit(0, 0, 3, "1"), Edit(0, 8, 13, ""), Edit(2, 4, 4, "!")])
    assert [s.text for s in made] == ["1 two ", "four", "five!"]
    assert made[1] is segments[1]


@pytest.mark.parametrize(("word", "text"), [("a", "b"), ("A", "B"), ("Ab", "Cd ef"), ("AB", "CD EF"), ("aB", "cd")])
def test_case_follows_the_word(word, text):
    assert copy_case(word, text.lower()) == text


DATA = "the polynomial x^2 holds a[k], 'u', \"phone\", ['bread', 'milk'], {red, green}, grade A+ or zero if n = length"


LITERALS = ("x^2", "a[k],", "'u',", '"phone",', "['bread', 'milk'],", "{red, green},", "A+ or zero if n = ")


@pytest.mark.parametrize("name", ["W1", "W2", "W3"])
def test_data_compounds_and_number_words_are_not_changed(name):
    for text in texts(name, DATA, 60, strength=2):
        assert [literal for literal in LITERALS if literal not in text] == []
    assert all("non-empty" in text for text in texts(name, "Return a non-empty list", 60, strength=2))
    numbers = "Of ones, zeroes, twos, tens and hundreds."
    assert set(texts(name, numbers, 60, strength=20)) == {numbers}


@pytest.mark.parametrize("name", ["W1", "W2", "W3"])
@pytest.mark.parametrize(
    ("before", "code", "after"),
    [
        ("Return any sub-", "string", " of it"),
        ("The ", "phone", "-number of it"),
        ("The number‑", "(a - b)", "‑phone of it"),
        ("Print ", "`n`", "-times it"),
        ("Print the phone", "-n", " of it"),
    ],
)
def test_parts_of_compounds_stay_when_another_part_is_code(name, before, code, after):
    compound = re.search(r"\S+$|$", before)[0] + code + re.match(r"\S*", after)[0]
    method = PERTURBATIONS.create(Spec(name, {"strength": 20}))
    segments = [Segment(before, True), Segment(code, False), Segment(after, True)]
    for seed in range(25):
        made = method.perturb(segments, random.Random(seed), frozenset())
        assert compound in "".join(segment.text for segment in made)


@pytest.mark.parametrize("name", ["W1", "W2", "W3"])
def test_a_dash_between_blanks_makes_no_compound(name):
    segments = [Segment("The phones - ", True), Segment("x", False), Segment(" - are big.", True)]
    method = PERTURBATIONS.create(Spec(name))
    made = [method.perturb(segments, random.Random(seed), frozenset()) for seed in range(50)]
    assert len({text[0].text for text in made}) > 1 and len({text[2].text for text in made}) > 1


def test_an_imperative_gets_no_nouns():
    firsts = {text.split(" the ")[0].lower() for text in texts("W2", "Sort the list")}
    assert not {"tax return", "refund", "kind"} & firsts
    made = {text.split()[0] for text in texts("W2", "Count vowels in a string.")}
    assert "Numeration" not in made and "Consider" in made


def test_frequent_senses_give_few_plain_synonyms_in_the_form_of_the_word():
    made = set(texts("W2", "The parts are big.", senses="frequent"))
    assert made == {f"The {noun} are {adj}." for noun in ("parts", "portions") for adj in ("big", "large")}
    assert set(texts("W1", "The pails.", senses="frequent")) == {"The pails.", "The pails buckets."}
    assert set(texts("W2", "It begins.", senses="frequent")) >= {"It starts.", "It starts out."}


@pytest.mark.parametrize(
    "text",
    [
        "It has only this.",
        "The second value, the third and each fourth; the second has the second, at the n'th.",
        "Of all the strings, arrays, tuples, keys, values, rows, columns and characters.",
        "The sum of the products of its elements, and its letters in capitals.",
        "The range of each power in the given heap in snake case.",
        "Its unique, consecutive, total, maximum and minimum numbers.",
        "The server sends the client a request, a comment and a query with a syntax error.",
        "Of all ways to place a star, the chain of complex numbers is the right one.",
        "The occurrence of an element that occurs last, or immediately before the rear one.",
        "Elements that are present in the slice, except for those outside the range.",
        "The standard deviation, and the fixed point of the spiral.",
        "Calculate it plus one, no matter what it takes, and shuffle the chunks. Interchange the halves.",
        "A public, a private or a static member, and null for each child that compiles.",
    ],
)
def test_stop_words_ordinals_and_technical_terms_have_no_frequent_synonym(text):
    for name in ("W1", "W2"):
        assert set(texts(name, text, 20, strength=20, senses="frequent")) == {text}


@pytest.mark.parametrize("name", ["W1", "W2"])
def test_the_imperative_that_begins_a_task_has_no_frequent_synonym(name):
    for task in ("Write a function", "Calculate it", "Choose one of them", "Begin with the last", "Then determine it"):
        assert set(texts(name, task, 20, strength=20, senses="frequent")) == {task}
        later = {text.split(". ")[1].lower() for text in texts(name, f"It is it. {task}", 60, senses="frequent")}
        assert len(later) > 1 or task == "Write a function"
    segments = [Segment("def f():\n", False), Segment("  Calculate it. ", True), Segment("x", False)]
    made = PERTURBATIONS.create(Spec(name, {"senses": "frequent", "strength": 20}))
    assert made.perturb(segments, random.Random(0), frozenset()) == segments, "one after code begins it, too"


def test_frequent_synonyms_are_words_of_letters_in_an_inflected_form():
    made = {text for word in ("days", "dozens", "halves") for text in texts("W2", f"The {word}.", senses="frequent")}
    assert all(re.fullmatch("The [a-z ]+[.]", text) for text in made) and "hourses" not in "".join(made)


def test_senses_are_all_by_default_and_checked():
    text = "The phone is there."
    assert texts("W2", text) == texts("W2", text, senses="all")
    with pytest.raises(UsageError, match="senses"):
        PERTURBATIONS.create(Spec("W2", {"senses": "few"}))


@pytest.mark.parametrize(
    ("phrase", "forms"),
    [("a distinct list", {"a distinct"}), ("a small list", {"a small", "a smaller", "a smallest"})],
)
def test_only_adjectives_with_a_comparative_in_use_get_one(phrase, forms):
    assert {text.rpartition(" ")[0] for text in texts("W3", phrase)} == forms
