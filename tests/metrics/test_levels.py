"""RD by level: by hand, with unequal draws, and for models that were not evaluated on all methods."""

from __future__ import annotations

import pytest

from raysweep.metrics.base import CellLabels
from raysweep.metrics.levels import LEVEL_METRICS, PerturbationLevel, measure_level
from raysweep.metrics.scores import scores_of
from tests.metrics.test_flips import results

CELL = CellLabels("m", "none", "base", 42)
CLEAN = results(a="+", b="+", c="-", d="+")


def numbers(level, **perturbed):
    return {one.metric: one for one in measure_level(level, CLEAN, perturbed)}


def test_each_method_counts_alike_however_many_draws_it_has():
    one = [results(a="+", b="-", c="-", d="+")]
    three = [results(a="-", b="-", c="-", d="+")] * 3
    found = numbers(PerturbationLevel("C", ("C1", "C2")), C1=one, C2=three)
    assert found["drop_level"].value == pytest.approx((0.5 + 0 + 0 + 1) / 4 - 0.75)
    assert found["RD_level"].value == pytest.approx((0.75 - 0.375) / 0.75)
    assert found["RD_level"].low <= found["RD_level"].value <= found["RD_level"].high


def test_methods_that_the_sweep_lacks_are_named():
    level = PerturbationLevel.of("S", ("S1", "S2", "S3"), ["clean", "S3", "S2"])
    assert (level.methods, level.missing) == (("S2", "S3"), ("S1",))
    found = numbers(level, S2=[CLEAN], S3=[CLEAN])
    assert found["RD_level"].note.endswith("without S1, which the sweep doesn't evaluate")


def test_a_model_that_was_not_evaluated_on_all_methods_has_no_number():
    assert numbers(PerturbationLevel("mix_all", ("C1", "C2", "W1")), C1=[CLEAN], C2=[CLEAN]) == {}
    assert numbers(PerturbationLevel("S", ("S2",)), S2=[CLEAN]) == {}


def test_scores_of_levels_come_last_under_the_levels_name():
    tested = {("p", "clean"): CLEAN, ("p", "C1"): results(a="-", b="+", c="-", d="+"), ("p", "C2"): CLEAN}
    scores = scores_of(
        CELL, tested, {}, levels=[PerturbationLevel("C", ("C1", "C2")), PerturbationLevel("W", ("W1", "W2"))]
    )
    assert [(s.perturbation, s.metric) for s in scores[-3:]] == [("C", name) for name in LEVEL_METRICS]
    assert [s.value for s in scores[-3:]] == [pytest.approx(v) for v in ((1 / 2) / 3, 5 / 8, -1 / 8)]
    del tested["p", "clean"]
    unpaired = scores_of(CELL, tested, {}, levels=[PerturbationLevel("C", ("C1", "C2"))])
    assert "RD_level" not in {score.metric for score in unpaired}


def test_a_problem_without_a_verdict_on_each_method_is_left_out_and_counted():
    found = numbers(PerturbationLevel("C", ("C1", "C2")), C1=[CLEAN], C2=[results(a="+", b="?", c="-", d="-")])
    assert found["drop_level"].value == pytest.approx((1 + 0 + 0.5) / 3 - 2 / 3)
    assert (found["drop_level"].n, found["drop_level"].note) == (
        3, "1 problem without a verdict on each method left out",
    )  # fmt: skip
