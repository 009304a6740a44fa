"""The contract of perturbations."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from raysweep.errors import UsageError
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.perturbations.batches import Text, perturb_texts
from raysweep.records import Segment, Spec
from raysweep.testing.contract import Contract, elsewhere, no_global_generator

LEVELS = ("character", "word", "sentence", "mixed", "none")
STRENGTHS = (1, 5, 20)
NOTHING: frozenset[str] = frozenset()

examples = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors],
    phases=[phase for phase in Phase if phase is not Phase.explain],
)
"""Suites inherit their tests, so objects of several classes run each of them. Nothing is explained beyond a failure's
own words: that traces every line, which takes seconds.
"""


class PerturbationContract(Contract):
    """Tests of what docs/contracts.md asks of a perturbation.

    Attributes:
        make: to be set, see `Contract`; it is called with `strength`, or without arguments.
        prose: a text that the perturbation changes at strength 1, with line breaks, in the language that it is for.
    """

    make: Callable[..., Perturbation]
    registry = PERTURBATIONS
    prose: ClassVar[str] = (
        "Write a function that takes several sorted numbers and returns the largest of them.\n  Then print it.\n" * 4
    )

    def perturbed(self, text: str, seed: int, protected: frozenset[str] = NOTHING, **arguments: float) -> str:
        """Return a text of natural language after the perturbation, with a generator of this seed."""
        return perturb_text(self.part(**arguments), text, random.Random(seed), protected)

    def test_it_has_a_title_and_a_known_level(self) -> None:
        """Tables and settings name it by them."""
        part = self.part()
        assert part.title, "`title` is the perturbation's name in settings and tables"
        assert part.level in LEVELS, f"`level` is one of {', '.join(LEVELS)}"

    def test_a_strength_outside_0_to_20_is_refused(self) -> None:
        self.part()
        for strength in (-0.1, 20.1):
            try:
                self.part(strength=strength)
            except UsageError as error:
                assert str(strength) in str(error), "a UsageError names the bad value"
            except TypeError as error:
                pytest.fail(f"a config gives every perturbation a `strength`, so its constructor takes one ({error})")
            else:
                pytest.fail(f"strength {strength} must raise UsageError, as Perturbation's constructor does")

    def test_ordinary_prose_changes_at_strength_1(self) -> None:
        if self.part().level == "none":
            pytest.skip("it is meant to change nothing")
        assert self.perturbed(self.prose, 1) != self.prose, "strength 1 is the usual rate, so `prose` must change"

    @given(text=st.text(max_size=200), seed=st.integers(0, 2**32))
    @examples
    def test_strength_0_changes_nothing(self, text: str, seed: int) -> None:
        text += self.prose
        assert self.perturbed(text, seed, strength=0) == text, "strength 0 changes nothing"

    @given(text=st.text(max_size=200), seed=st.integers(0, 2**32), strength=st.sampled_from([1, 20]))
    @examples
    def test_any_text_is_fine_and_equal_generators_give_equal_texts(self, text: str, seed: int, strength: int) -> None:
        try:
            once = self.perturbed(text, seed, strength=strength)
        except Exception as error:
            pytest.fail(f"it never fails on any text: what it can't change comes back as it was ({error!r})")
        again = self.perturbed(text, seed, strength=strength)
        assert once == again, "equal texts, strengths and generators give equal texts"

    @given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=8), seed=st.integers(0, 2**32))
    @examples
    def test_verbatim_segments_come_back_unchanged_and_in_order(self, texts: list[str], seed: int) -> None:
        """Code stays; raysweep stops a sweep where it doesn't."""
        part = self.part(strength=20)
        if not part.keeps_segments:
            pytest.skip("it says that it cuts texts into other segments")
        segments = [Segment(text, natural=index % 2 == 0) for index, text in enumerate(texts)]
        before = list(segments)
        after = part.perturb(segments, random.Random(seed), NOTHING)
        assert segments == before, "the segments that it gets are not its to change: it returns new ones"
        require_segments(after)
        verbatim = [segment.text for segment in after if not segment.natural]
        assert verbatim == texts[1::2], "verbatim segments come back unchanged and in order"

    @given(
        lines=st.lists(st.text("abc XYZ.,'1é", max_size=30), max_size=6),
        seed=st.integers(0, 2**32),
        end=st.sampled_from(["\n", "\n", "\r\n"]),
    )
    @examples
    def test_line_breaks_stay(self, lines: list[str], seed: int, end: str) -> None:
        """Line breaks are part of a prompt's form."""
        text = end.join(lines)
        after = self.perturbed(text, seed, strength=20)
        assert after.count("\n") == text.count("\n") and after.count(end) == text.count(end), "line breaks stay"

    def test_protected_words_stay(self) -> None:
        """A word whose first run of letters and digits is protected stays, with what stands around it."""
        text = "Return the threshold of (numbers) that numbers's largest list holds, in numbers."
        for strength in STRENGTHS:
            for seed in range(20):
                after = self.perturbed(text, seed, frozenset({"numbers", "threshold", "list"}), strength=strength)
                for word in ("threshold", "(numbers)", "numbers's", "list", "numbers."):
                    assert word in after.split(" "), f"protected words stay, and {word!r} did not: {after!r}"

    def test_other_generators_give_other_texts_unless_it_says_that_it_draws_nothing(self) -> None:
        """Where `deterministic` holds, raysweep makes one draw of a test set in place of several."""
        for strength in (0.0, 0.5, 1.0):
            part = self.part(strength=strength)
            texts = {perturb_text(part, self.prose, random.Random(seed)) for seed in range(20)}
            if part.deterministic:
                assert len(texts) == 1, f"`deterministic` holds at strength {strength}, so one text comes out"
            elif strength == 0.5 and part.level != "none":
                assert len(texts) > 1, "other generators give other texts unless the property `deterministic` is true"

    def test_a_text_of_over_30_000_characters_is_fine(self) -> None:
        """Rows of training sets may be long."""
        text = self.prose * (1 + 33_000 // len(self.prose))
        after = self.perturbed(text, 1)
        assert after.count("\n") == text.count("\n"), "line breaks of a long text stay"
        assert (after != text) is (self.part().level != "none"), "a long text changes, too"

    def test_it_keeps_no_state_between_texts(self) -> None:
        """Processes perturb texts in any order."""
        part, first = self.part(), perturb_text(self.part(), self.prose, random.Random(3))
        for between in range(4):
            again = perturb_text(part, self.prose, random.Random(3))
            assert again == first, "a text doesn't depend on those before it"
            for number in range(between):
                perturb_text(part, f"something else entirely, {number}", random.Random(4))

    def test_many_texts_at_once_give_what_each_gives_alone(self) -> None:
        """A sweep gives a `BatchPerturbation` all texts of a set at once."""
        part, words = self.part(), self.prose.split(" ")
        texts = [" ".join(words[: len(words) // parts]) for parts in (1, 2, 4)]
        together = perturb_texts(
            part, [Text([Segment(text, True)], random.Random(n), NOTHING) for n, text in enumerate(texts)]
        )
        alone = [part.perturb([Segment(text, True)], random.Random(n), NOTHING) for n, text in enumerate(texts)]
        assert together == alone, (
            "perturb_all() returns one list of segments for each text, in the same order, and a text doesn't depend on "
            "the others"
        )

    def test_it_draws_from_its_argument_alone(self) -> None:
        part = self.part()
        with no_global_generator():
            perturb_text(part, self.prose, random.Random(3))

    def test_another_process_gives_the_same_texts(self) -> None:
        """Every process builds it anew, from its name and arguments."""
        here = _texts_of(self.part(), self.prose)
        assert elsewhere(_texts_of_spec, self.spec(), self.prose) == here, (
            "another process gives the same texts: nothing may depend on the order of a set, nor on the machine"
        )

    def test_its_fingerprint_maps_texts_to_texts_and_is_the_same_each_time(self) -> None:
        """It is part of keys."""
        fingerprint = self.part().fingerprint()
        assert isinstance(fingerprint, Mapping), "fingerprint() returns a mapping"
        assert all(isinstance(text, str) for pair in fingerprint.items() for text in pair), (
            "fingerprint() maps texts to texts"
        )
        assert fingerprint == self.part().fingerprint(), "fingerprint() is the same each time"


def perturb_text(part: Perturbation, text: str, rng: random.Random, protected: frozenset[str] = NOTHING) -> str:
    after = part.perturb([Segment(text, True)], rng, protected)
    require_segments(after)
    return "".join(segment.text for segment in after)


def require_segments(after: object) -> None:
    is_list = isinstance(after, list) and all(isinstance(segment, Segment) for segment in after)
    assert is_list, f"perturb() returns a list of Segment, not {after!r}"


def _texts_of(part: Perturbation, text: str) -> list[str]:
    return [perturb_text(part, text, random.Random(seed)) for seed in range(3)]


def _texts_of_spec(spec: Spec, text: str) -> list[str]:
    return _texts_of(PERTURBATIONS.create(spec), text)
