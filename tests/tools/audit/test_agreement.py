"""Kappa and shares against published values and by hand."""

import math

import pytest

from raysweep.rows.rated_sheets import SheetItem
from raysweep.stats.intervals import share_interval
from raysweep.tools.audit.agreement import agreements, kappa, validity

YES, NO = {"same_task": True, "readable": True}, {"same_task": True, "readable": False}


def test_kappa_is_cohens():
    # 50 proposals, two readers: 20 yes by both, 15 no by both, 5 and 10 split: observed .7, expected .5
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert kappa(pairs) == pytest.approx(0.4)
    assert kappa([(True, True), (False, False)]) == 1
    assert kappa([(True, False), (False, True)]) == -1
    assert math.isnan(kappa([(True, True)] * 3))


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (29, 29, 0.8830, 1)],
)
def test_intervals_are_those_of_newcombe(count, total, low, high):
    # R. G. Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I, method 3
    assert share_interval(count, total) == pytest.approx((low, high), abs=5e-5)
    assert all(map(math.isnan, share_interval(0, 0)))


def test_a_text_is_valid_when_most_raters_find_it_the_same_and_readable():
    items = [SheetItem(n, "C1" if n < 3 else "W1", f"r{n}", "a", "b") for n in range(1, 5)]
    answers = {
        "ann": {1: YES, 2: YES, 3: NO, 4: YES},
        "bob": {1: YES, 2: NO, 3: NO, 4: YES},
        "eve": {1: NO, 2: NO, 3: NO, 4: YES},
    }
    shares = [(one.method, one.judged, one.valid) for one in validity(items, answers)]
    assert shares == [("C1", 2, 1), ("W1", 2, 1), ("all", 4, 2)]
    assert [one.valid for one in validity(items, {"ann": answers["ann"], "bob": answers["bob"]})] == [1, 1, 2]
    kappas = agreements(items, answers)
    assert [one.raters for one in kappas[:3]] == [("ann", "bob"), ("ann", "eve"), ("bob", "eve")]
    assert math.isnan(kappas[0].kappa) and kappas[0].note
    assert kappas[3].kappa == pytest.approx(0.5)
