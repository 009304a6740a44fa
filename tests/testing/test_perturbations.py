"""Each test of the suites for every part and for perturbations fails on a part that is broken in its way."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.perturbations.batches import BatchPerturbation
from raysweep.prompts.protection import change_words
from raysweep.records import Segment
from raysweep.testing.contract import Contract
from raysweep.testing.perturbations import PerturbationContract
from tests.testing.bites import Broken, claims_of, message

if TYPE_CHECKING:
    from fractions import Fraction


class Louder(Perturbation):
    """Words in capitals."""

    name, title, level = "C1", "Louder", "word"

    def perturb(self, segments, rng, protected):
        return change_words(
            segments, protected, lambda word: word.upper() if rng.random() < self.strength / 2 else word
        )


def each(change) -> type[Louder]:
    """Return a class that changes each natural text so."""

    class Changed(Louder):
        """Words in capitals, and more."""

        def perturb(self, segments, rng, protected):
            after = super().perturb(segments, rng, protected)
            return [Segment(change(s.text), True) if s.natural and self.strength else s for s in after]

    return Changed


class Unknown(Louder):
    level = "paragraph"


class AnyStrength(Louder):
    def __init__(self, strength: float = 1.0) -> None:
        self.strength = strength


def heavy() -> Perturbation:
    """Return one of another module: an import of it at the head here would count against all parts here."""
    from tests.testing.heavy import Heavy

    return Heavy()


class Idle(Louder):
    def perturb(self, segments, rng, protected):
        return list(segments)


class Always(Louder):
    def perturb(self, segments, rng, protected):
        return change_words(segments, protected, str.upper)


class Fussy(Louder):
    def perturb(self, segments, rng, protected):
        if "ß" in segments[0].text or not segments[0].text.strip():
            raise ValueError("what is this?")
        return super().perturb(segments, rng, protected)


class Careless(Louder):
    def perturb(self, segments, rng, protected):
        return super().perturb([Segment(s.text, True) for s in segments], rng, protected)


class Careful(Always):
    deterministic = True

    def perturb(self, segments, rng, protected):
        return Louder.perturb(self, segments, rng, protected)


class Remembers(Louder):
    last = ""

    def perturb(self, segments, rng, protected):
        before, self.last = self.last, segments[0].text
        return super().perturb(segments, rng, protected) if before in ("", self.last) else list(segments)


class Global(Louder):
    def perturb(self, segments, rng, protected):
        return super().perturb(segments, random, protected)


class Numbered(Louder):
    def fingerprint(self):
        return {"version": 1}


class Undescribed(Louder):
    pass


Undescribed.__doc__ = Perturbation.__doc__


class Backwards(BatchPerturbation, Louder):
    def perturb_all(self, texts):
        return [Louder.perturb(self, text.segments, text.rng, text.protected) for text in texts][::-1]


class Neighbourly(BatchPerturbation, Louder):
    def perturb_all(self, texts):
        return [Louder.perturb(self, text.segments, texts[0].rng, text.protected) for text in texts]


class Untyped(Louder):
    def __init__(self, strength=1.0) -> None:
        super().__init__(strength)


class Later(Louder):
    def __init__(self, strength: Fraction | float = 1.0) -> None:
        super().__init__(float(strength))


OF_EVERY_PART: Broken = {
    "test_raysweep_finds_it_by_its_name": (Louder, "finds another class than Louder"),
    "test_its_docstring_begins_with_a_sentence": (Undescribed, "begins with a line that is one sentence"),
    "test_each_argument_has_a_type_that_exists_at_run_time": (Later, "name 'Fraction' is not defined"),
    "test_its_module_imports_heavy_packages_inside_functions": (
        heavy, "are imported inside the functions that use them; the import of tests.testing.heavy also imports vllm",
    ),
}  # fmt: skip
BROKEN: Broken = {
    "test_it_has_a_title_and_a_known_level": (Unknown, "`level` is one of character, word"),
    "test_a_strength_outside_0_to_20_is_refused": (AnyStrength, "strength -0.1 must raise UsageError"),
    "test_ordinary_prose_changes_at_strength_1": (Idle, "so `prose` must change"),
    "test_strength_0_changes_nothing": (Always, "strength 0 changes nothing"),
    "test_any_text_is_fine_and_equal_generators_give_equal_texts": (Fussy, "never fails on any text"),
    "test_verbatim_segments_come_back_unchanged_and_in_order": (Careless, "unchanged and in order"),
    "test_line_breaks_stay": (each(lambda text: " ".join(text.split())), "line breaks stay"),
    "test_protected_words_stay": (each(str.upper), "protected words stay, and 'threshold' did not"),
    "test_other_generators_give_other_texts_unless_it_says_that_it_draws_nothing": (
        Careful, "so one text comes out",
    ),
    "test_a_text_of_over_30_000_characters_is_fine": (each(lambda text: text[:9999]), "line breaks of a long text"),
    "test_it_keeps_no_state_between_texts": (Remembers, "doesn't depend on those before it"),
    "test_many_texts_at_once_give_what_each_gives_alone": (Backwards, "for each text, in the same order"),
    "test_it_draws_from_its_argument_alone": (Global, "the generator of the whole process in random was used"),
    "test_another_process_gives_the_same_texts": (Louder, "another process gives the same texts"),
    "test_its_fingerprint_maps_texts_to_texts_and_is_the_same_each_time": (Numbered, "maps texts to texts"),
}  # fmt: skip


class EverySecond(Louder):
    """Leaves every second text as it is."""

    calls = 0

    def perturb(self, segments, rng, protected):
        self.calls += 1
        return segments if self.calls % 2 == 0 else super().perturb(segments, rng, protected)


class Forgetful(Louder):
    """Returns nothing."""

    def perturb(self, segments, rng, protected):
        super().perturb(segments, rng, protected)


class Fixed(Louder):
    """Has one strength."""

    def __init__(self) -> None:
        super().__init__(1.0)


@pytest.mark.parametrize("test", sorted(OF_EVERY_PART | BROKEN))
def test_a_broken_part_fails(test):
    make, words = (OF_EVERY_PART | BROKEN)[test]
    assert words in message(PerturbationContract, test, make)


def test_every_test_was_seen_to_fail():
    assert claims_of(PerturbationContract) == set(BROKEN)
    assert {name for name in dir(Contract) if name.startswith("test_")} == set(OF_EVERY_PART)


@pytest.mark.parametrize(
    ("test", "make", "words"),
    [
        ("test_each_argument_has_a_type_that_exists_at_run_time", Untyped, "strength has none"),
        (
            "test_other_generators_give_other_texts_unless_it_says_that_it_draws_nothing",
            Always,
            "unless the property `deterministic` is true",
        ),
        ("test_many_texts_at_once_give_what_each_gives_alone", Neighbourly, "doesn't depend on the others"),
        ("test_it_keeps_no_state_between_texts", EverySecond, "doesn't depend on those before it"),
        ("test_ordinary_prose_changes_at_strength_1", Forgetful, "perturb() returns a list of Segment, not None"),
        (
            "test_verbatim_segments_come_back_unchanged_and_in_order",
            Forgetful,
            "perturb() returns a list of Segment, not None",
        ),
        ("test_a_strength_outside_0_to_20_is_refused", Fixed, "gives every perturbation a `strength`"),
    ],
)
def test_further_ways_to_be_broken(test, make, words):
    assert words in message(PerturbationContract, test, make)


def test_a_part_that_raysweep_refuses_fails_with_the_reason(monkeypatch):
    class Nameless(Perturbation):
        perturb = Louder.perturb

    test = "test_it_keeps_no_state_between_texts"
    assert "raysweep doesn't know the perturbation" in message(PerturbationContract, test, Nameless)
    assert "have an entry point of the group 'raysweep.perturbations'" in message(PerturbationContract, test, Nameless)
    monkeypatch.setitem(PERTURBATIONS._broken, "N1", "perturbation 'N1' has no class attribute `title`")
    assert "has no class attribute `title`" in message(PerturbationContract, test, Nameless)


def test_a_failure_shows_the_values_below_the_words():
    told = message(PerturbationContract, "test_it_has_a_title_and_a_known_level", Unknown)
    assert "'paragraph' in (" in told


def test_a_class_that_no_entry_point_names_is_told_apart_from_a_broken_one():
    class Unregistered(Perturbation):
        """Nothing."""

        title, level = "Unregistered", "word"
        perturb = Louder.perturb

    assert "have an entry point of the group 'raysweep.perturbations' name the class" in message(
        PerturbationContract, "test_it_has_a_title_and_a_known_level", Unregistered
    )


def test_a_part_that_keeps_the_contract_passes(monkeypatch):
    monkeypatch.setitem(PERTURBATIONS._classes, "C1", Louder)
    others = {"test_another_process_gives_the_same_texts"}
    assert {test: message(PerturbationContract, test, Louder) for test in set(OF_EVERY_PART | BROKEN) - others} == (
        dict.fromkeys(set(OF_EVERY_PART | BROKEN) - others, "")
    )
