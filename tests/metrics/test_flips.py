"""Flipped verdicts: counts by hand, pairs by sample, draws, what is undefined."""

from __future__ import annotations

import math

import pytest

from raysweep.metrics.base import CellLabels, Evaluation
from raysweep.metrics.flips import Flips
from raysweep.programs import Outcome
from raysweep.records import Result
from raysweep.stats.intervals import share_interval

CELL = CellLabels("m", "none", "base", 42)
OUTCOMES = {"+": Outcome.PASSED, "-": Outcome.FAILED, "?": Outcome.HARNESS_ERROR}


def results(**verdicts: str) -> tuple[Result, ...]:
    """One task for each argument, one completion for each sign."""
    return tuple(
        Result(task, sample, OUTCOMES[sign], "", "", 0.0, "")
        for task, signs in verdicts.items()
        for sample, sign in enumerate(signs)
    )


def measure(clean, *draws):
    evaluation = Evaluation("p", "C1", draws[0], clean=clean, more_draws=draws[1:])
    return {found.metric: found for found in Flips().measure(evaluation, CELL)}


def test_pairs_are_counted_by_sample():
    found = measure(results(a="++--", b="+---"), results(a="+-+-", b="----"))
    assert found["flips_lost"].value == pytest.approx((1 / 4 + 1 / 4) / 2)
    assert found["flips_won"].value == pytest.approx((1 / 4 + 0) / 2)
    assert found["flip_rate_lost"].value == pytest.approx((1 + 1) / 3)
    assert found["flip_rate_won"].value == pytest.approx(1 / 5)
    assert all(one.low <= one.value <= one.high and one.n == 2 for one in found.values())
    found = measure(results(a="+-"), results(a="-+"))  # equal pass rates may hide flips
    assert (found["flips_lost"].value, found["flips_won"].value) == (0.5, 0.5)
    assert Flips().measure(Evaluation("p", "clean", results(a="+")), CELL) == []


def test_numbers_of_several_draws_are_means_over_them():
    found = measure(results(a="++"), results(a="--"), results(a="+-"))
    assert found["flips_lost"].value == pytest.approx((1 + 0.5) / 2)
    assert found["flip_rate_lost"].value == pytest.approx(0.75)


def test_a_pair_with_a_harness_error_is_left_out_and_said():
    found = measure(results(a="++", b="?"), results(a="-?", b="+"))
    assert (found["flips_lost"].value, found["flips_lost"].n) == (1.0, 1)
    assert "2 harness errors left out" in found["flips_lost"].note


def test_rates_of_nothing_are_nan_with_their_reason():
    for clean, perturbed, metric, reason in (
        ("--", "-+", "flip_rate_lost", "there are no clean passes"),
        ("++", "-+", "flip_rate_won", "there are no clean failures"),
        ("?", "+", "flips_lost", "no completion has a verdict on both prompts"),
    ):
        found = measure(results(a=clean), results(a=perturbed))[metric]
        assert math.isnan(found.value) and found.note.startswith(reason)


def test_intervals_of_rates_are_shares_and_say_where_few_completions_carry_them():
    clean = results(**{f"t{n}": "-" if n < 5 else "+" for n in range(100)})
    found = measure(clean, results(**{f"t{n}": "+" if n < 3 else "+-"[n % 2] for n in range(100)}))
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in found.values())
    assert found["flip_rate_won"].value == pytest.approx(0.8)
    assert found["flip_rate_won"].note == "rough interval: fewer than 10 clean failures"
    assert found["flip_rate_lost"].note == ""
    measured = found["flip_rate_won"]
    assert (measured.low, measured.high) == pytest.approx(share_interval(4, 5))
    none = measure(clean, results(**{f"t{n}": "-" if n < 5 else "+" for n in range(100)}))["flip_rate_won"]
    assert (none.value, none.low, none.high) == pytest.approx((0.0, *share_interval(0, 5)))


def test_draws_that_disagree_widen_the_rates_as_they_widen_the_shares():
    tasks = [f"t{n}" for n in range(40)]
    clean = results(**dict.fromkeys(tasks, "+"))
    one = results(**{task: "+-"[n < 20] for n, task in enumerate(tasks)})
    other = results(**{task: "+-"[n >= 22] for n, task in enumerate(tasks)})
    found = measure(clean, one, other)
    share, rate = found["flips_lost"], found["flip_rate_lost"]
    assert share.value == rate.value and rate.high - rate.low > 0.9 * (share.high - share.low)
