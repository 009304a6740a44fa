"""Aggregates: each row gets one member, all equally likely."""

import random
from collections import Counter

import pytest

from raysweep.errors import UnknownName, UsageError
from raysweep.perturbations.apply import Perturber
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.mixes import Characters
from raysweep.records import Segment, Spec

TEXT = "Return the largest of several numbers, please, and print all of the others."


def test_each_member_is_drawn_equally_often():
    rng, mix = random.Random(3), Characters()
    drawn = Counter(mix.draw(rng).name for _ in range(3000))
    assert set(drawn) == {"C1", "C2", "C3"}
    assert all(900 < count < 1100 for count in drawn.values())


def test_members_take_their_own_strengths_times_the_mixs():
    mix = Characters(strength=2, strengths={"C1": 1.5, "C3": 0.4})
    drawn = {method.name: method.strength for seed in range(50) for method in [mix.draw(random.Random(seed))]}
    assert drawn == pytest.approx({"C1": 3.0, "C2": 2.0, "C3": 0.8})


def test_all_segments_of_a_text_get_the_same_member():
    segments = [Segment(TEXT, True), Segment("code", False), Segment(TEXT, True)]
    for seed in range(20):
        rng = random.Random(seed)
        expected = Characters().draw(rng).perturb(segments, rng, frozenset())
        assert Characters().perturb(segments, random.Random(seed), frozenset()) == expected


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ({"strengths": {"C4": 1}}, UnknownName, "unknown member of perturbation C 'C4'.*known: C1, C2, C3"),
        ({"strengths": {"C1": "high"}}, UsageError, "argument 'strengths'.*number.*high"),
        ({"strengths": {"C1": 30}}, UsageError, "perturbation C1: strength 30.0 is not between"),
    ],
)
def test_wrong_arguments_are_named(args, error, message):
    with pytest.raises(error, match=message):
        PERTURBATIONS.create(Spec("C", args))


def mix(members, **args):
    return PERTURBATIONS.create(Spec("mix", {"members": members, **args}))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "name at least one"),
        (["C1", "C1"], "none twice"),
        (["C1", "C"], "member 'C' is a mix itself; name its members"),
        (["C1", "nlperturbator"], r"'nlperturbator' needs arguments of its own \(path, category\)"),
        (["C1", "C22"], "unknown perturbation 'C22' .did you mean 'C2'"),
    ],
)
def test_chosen_members_that_cannot_be_are_named(members, message):
    with pytest.raises(UsageError, match=message):
        mix(members)
    assert [part.name for part in mix(["S1", "S2"], language={"translator": "none"}).parts] == ["S2"]
    with pytest.raises(UsageError, match="each member translates, and translator is none"):
        mix(["S1"], language={"translator": "none"})


def test_mixes_of_other_members_draw_independently():
    rows = [str(at) for at in range(900)]
    one, other = (
        Perturber(Spec("mix", {"members": members}), seed=1, source_id="x")
        for members in (["C1", "C2", "C3"], ["C1", "C2", "W3"])
    )
    same = sum(one.method(row).name == other.method(row).name for row in rows)
    assert 150 < same < 250, "of 900 rows two ninths; drawn alike it would be two thirds"
