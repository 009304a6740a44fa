"""What every registered perturbation promises, tried with texts of every kind."""

import random
import re
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from raysweep.errors import MissingInput, UsageError
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.perturbations.batches import Text, perturb_texts
from raysweep.perturbations.mixes import members_of
from raysweep.records import Segment, Spec
from raysweep.testing import PROSE
from tests.perturbations.texts import perturb_text

pytestmark = pytest.mark.slow

ARGUMENTS: dict[str, dict[str, Any]] = {"mix": {"members": ["C1", "W2", "S3"]}}
ODD = ["", "a", "\t", "Return\r\n\tthe 'list' of \"numbers\"\r\n", "Say \"it's 'one'\" — naïve £5 漢字 🙂."]
PROTECTED = frozenset({"numbers", "threshold", "list"})
OTHERS = {"nlperturbator"}  # takes no strength and needs published files; its own tests hold it
NAMES = [*sorted(set(PERTURBATIONS.names()) - OTHERS), "textattack:WordSwapQWERTY", "textattack:WordDeletion"]

examples = settings(max_examples=30, phases=[phase for phase in Phase if phase is not Phase.explain])


@pytest.fixture(params=NAMES)
def name(request) -> str:
    try:
        made(request.param)
    except MissingInput as error:
        pytest.skip(str(error))
    return request.param


def made(name: str, strength: float = 1.0) -> Perturbation:
    return PERTURBATIONS.create(Spec(name, {**ARGUMENTS.get(name, {}), "strength": strength}))


def test_its_words_level_and_strength_are_known(name):
    part = made(name)
    assert part.title and part.level in ("character", "word", "sentence", "mixed", "none")
    assert part.words or not re.fullmatch("[CWS][0-9]?|mix.*", name)
    for strength in (-0.1, 20.1):
        with pytest.raises(UsageError, match=str(strength)):
            made(name, strength)
    for member in members_of(part):
        assert member.name in NAMES and members_of(member) == [member]


def test_any_text_keeps_its_code_line_breaks_and_blanks(name):
    parts = {strength: made(name, strength) for strength in (0, 1, 20)}

    @given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=6), seed=st.integers(0, 2**32))
    @examples
    def check(texts: list[str], seed: int) -> None:
        segments = [Segment(text, index % 2 == 0) for index, text in enumerate(texts)]
        for strength, part in parts.items():
            after = part.perturb(segments, random.Random(seed), frozenset())
            assert after == part.perturb(segments, random.Random(seed), frozenset())
            if strength == 0:
                assert "".join(one.text for one in after) == "".join(texts)
            if part.keeps_segments:
                assert [one.text for one in after if not one.natural] == texts[1::2]

    check()
    for text in (*ODD, PROSE.replace(" ", "\t"), PROSE.replace("\n", "\r\n")):
        for seed in range(5):
            after = perturb_text(parts[20], text, random.Random(seed))
            for blank in ("\n", "\r\n", "\t"):
                assert after.count(blank) == text.count(blank)
            assert [line.isspace() for line in after.splitlines()] == [line.isspace() for line in text.splitlines()]


def test_protected_words_stay(name):
    text = "Return the threshold of (numbers) that numbers's largest list holds, in numbers."
    for strength in (1, 5, 20):
        for seed in range(20):
            after = perturb_text(made(name, strength), text, random.Random(seed), PROTECTED).split(" ")
            assert {"threshold", "(numbers)", "numbers's", "list", "numbers."} <= set(after)


def test_prose_changes_and_as_often_as_it_says(name):
    """Where `deterministic` holds, raysweep makes one draw of a test set in place of several."""
    for strength in (0.0, 0.5, 1.0):
        part = made(name, strength)
        texts = {perturb_text(part, PROSE, random.Random(seed)) for seed in range(20)}
        if part.deterministic:
            assert len(texts) == 1
        elif strength == 0.5 and part.level != "none":
            assert len(texts) > 1
    assert (perturb_text(part, PROSE, random.Random(1)) != PROSE) is (part.level != "none")


def test_many_texts_at_once_give_what_each_gives_alone(name):
    part, words = made(name), PROSE.split(" ")
    texts = [[Segment(" ".join(words[: len(words) // parts]), True)] for parts in (1, 2, 4)]
    together = perturb_texts(part, [Text(text, random.Random(n), frozenset()) for n, text in enumerate(texts)])
    assert together == [part.perturb(text, random.Random(n), frozenset()) for n, text in enumerate(texts)]
