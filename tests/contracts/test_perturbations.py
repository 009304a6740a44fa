"""What every registered perturbation promises."""

import os
import random
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.errors import UsageError
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.perturbations.mixes import members_of
from raysweep.records import Segment, Spec
from tests.perturbations.texts import perturb_text

EXAMPLE_ARGS: dict[str, dict[str, Any]] = {"mix": {"members": ["C1", "W2", "S3"]}}  # for those that need some, by name
LEVELS = {"character", "word", "sentence", "mixed", "none"}
PROSE = "Write a function that takes several sorted numbers and returns the largest of them.\n  Then print it.\n" * 4
ODD = {
    "empty": "",
    "one character": "a",
    "a tab": "\t",
    "Windows line ends": "Return\r\n\tthe 'list' of \"numbers\"\r\n",
    "nested quotes and unicode": "Say \"it's 'one'\" — naïve £5 漢字 🙂.",
    "tabs": PROSE.replace(" ", "\t"),
}
NOTHING: frozenset[str] = frozenset()
NAMES = [*PERTURBATIONS.names(), "textattack:WordSwapQWERTY", "textattack:WordDeletion"]

SLOW = ("S1", "mix_all", "textattack:WordSwapQWERTY", "textattack:WordDeletion")  # translators, a heavy import
each = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else (), id=name) for name in NAMES]
)
unicode_texts = settings(max_examples=60, deadline=None)


def make(name: str, **more: Any) -> Perturbation:
    try:
        return PERTURBATIONS.create(Spec(name, {**EXAMPLE_ARGS.get(name, {}), **more}))
    except UsageError as error:
        pytest.skip(f"{name} can't be made without arguments of its own: {error}")


def applied(name: str, text: str, seed: int, protected: frozenset[str] = NOTHING, **more: Any) -> str:
    return perturb_text(make(name, **more), text, random.Random(seed), protected)


@each
def test_has_a_title_and_a_known_level(name):
    assert make(name).title and (make(name).words or not re.fullmatch("[CWS][0-9]?|mix.*", name))
    assert make(name).level in LEVELS


@each
def test_strength_outside_0_to_20_is_refused(name):
    make(name)
    for strength in (-0.1, 20.1):
        with pytest.raises(UsageError, match="not between 0 and 20"):
            PERTURBATIONS.create(Spec(name, {**EXAMPLE_ARGS.get(name, {}), "strength": strength}))


@each
def test_changes_ordinary_prose_at_strength_1(name):
    if make(name).level == "none":
        pytest.skip("it is meant to change nothing")
    assert applied(name, PROSE, 1) != PROSE


@each
@given(text=st.text(max_size=200), seed=st.integers(0, 2**32))
@unicode_texts
def test_strength_0_changes_nothing(name, text, seed):
    assert applied(name, text + PROSE, seed, strength=0) == text + PROSE


@each
@given(text=st.text(max_size=200), seed=st.integers(0, 2**32), strength=st.sampled_from([1, 20]))
@unicode_texts
def test_any_text_is_fine_and_the_same_generator_gives_the_same_text(name, text, seed, strength):
    assert applied(name, text, seed, strength=strength) == applied(name, text, seed, strength=strength)


@each
@given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=8), seed=st.integers(0, 2**32))
@unicode_texts
def test_verbatim_segments_come_back_in_order_and_untouched(name, texts, seed):
    segments = [Segment(text, natural=index % 2 == 0) for index, text in enumerate(texts)]
    after = make(name, strength=20).perturb(segments, random.Random(seed), NOTHING)
    assert [s.text for s in after if not s.natural] == [s.text for s in segments if not s.natural]


@pytest.mark.slow
@each
@given(lines=st.lists(st.text("abc XYZ.,'1é", max_size=30), max_size=6), seed=st.integers(0, 2**32))
@unicode_texts
def test_line_breaks_are_kept(name, lines, seed):
    text = "\n".join(lines)
    assert applied(name, text, seed, strength=20).count("\n") == text.count("\n")


@each
@given(seed=st.integers(0, 2**32), strength=st.sampled_from([1, 5, 20]))
@unicode_texts
def test_protected_words_stay(name, seed, strength):
    text = "Return the threshold of (numbers) that numbers's largest list holds, in numbers."
    after = applied(name, text, seed, frozenset({"numbers", "threshold", "list"}), strength=strength).split(" ")
    for word in ("threshold", "(numbers)", "numbers's", "list", "numbers."):
        assert word in after


@each
def test_other_seeds_give_other_texts(name):
    if make(name).level == "none":
        pytest.skip("it is meant to change nothing")
    assert len({applied(name, PROSE, seed, strength=0.5) for seed in range(20)}) > 1, "tenses draw only below 1"


@each
@pytest.mark.parametrize("strength", [0, 0.5, 1])
def test_a_method_that_says_it_draws_nothing_gives_one_text(name, strength):
    method = make(name, strength=strength)
    made = {perturb_text(method, PROSE, random.Random(seed)) for seed in range(8)}
    assert len(made) == 1 or not method.deterministic


@each
@pytest.mark.parametrize("kind", ODD)
def test_odd_texts_keep_their_blanks(name, kind):
    for seed in range(5):
        after = applied(name, ODD[kind], seed)
        assert after.count("\r\n") == ODD[kind].count("\r\n") and after.count("\t") == ODD[kind].count("\t")
        assert [line.isspace() for line in after.splitlines()] == [line.isspace() for line in ODD[kind].splitlines()]


@each
def test_a_text_of_100000_characters_is_fine(name):
    text = PROSE * 300
    assert len(text) > 100_000 // 3
    after = applied(name, text, 1)
    assert after.count("\n") == text.count("\n") and (after != text) is (make(name).level != "none")


@pytest.mark.slow
def test_texts_are_the_same_in_every_process_and_under_every_hash_seed():
    code = (
        "import random, sys\n"
        "from raysweep.perturbations.base import PERTURBATIONS\n"
        "from raysweep.errors import UsageError\n"
        "from raysweep.records import Spec\n"
        "from tests.perturbations.texts import perturb_text\n"
        "for name in PERTURBATIONS.names():\n"
        "    try: method = PERTURBATIONS.create(Spec(name))\n"
        "    except UsageError: continue\n"
        "    print(name, perturb_text(method, sys.argv[1], random.Random(1)))\n"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", code, PROSE],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(made) == 1 and made.pop().count("\n") > len(PROSE.splitlines()) * 3


@each
def test_keeps_no_state_between_texts(name):
    perturbation = make(name)
    first = perturb_text(perturbation, PROSE, random.Random(3))
    perturb_text(perturbation, "something else entirely", random.Random(4))
    assert perturb_text(perturbation, PROSE, random.Random(3)) == first


@each
def test_its_members_are_registered_methods_that_have_no_members(name):
    for member in members_of(make(name)):
        assert member.name in NAMES
        assert members_of(member) == [member]
