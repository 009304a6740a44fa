"""Flipped verdicts: counts by hand, pairs by sample, draws, what is undefined."""

from __future__ import annotations

import math

import pytest

from raysweep.metrics.base import CellLabels, Evaluation
from raysweep.metrics.flips import Flips
from raysweep.programs import Outcome
from raysweep.records import Result

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


def test_equal_pass_rates_may_hide_flips():
    found = measure(results(a="+-"), results(a="-+"))
    assert (found["flips_lost"].value, found["flips_won"].value) == (0.5, 0.5)


def test_won_minus_lost_is_the_drop():
    from raysweep.metrics.degradation import RelativeDegradation

    clean, perturbed = results(a="+-+", b="--+", c="+++"), results(a="--+", b="+++", c="---")
    found = measure(clean, perturbed)
    drops = RelativeDegradation().measure(Evaluation("p", "C1", perturbed, clean=clean), CELL)
    drop = next(one.value for one in drops if one.metric == "drop")
    assert found["flips_won"].value - found["flips_lost"].value == pytest.approx(drop)


def test_numbers_of_several_draws_are_means_over_them():
    found = measure(results(a="++"), results(a="--"), results(a="+-"))
    assert found["flips_lost"].value == pytest.approx((1 + 0.5) / 2)
    assert found["flip_rate_lost"].value == pytest.approx(0.75)


def test_a_pair_with_a_harness_error_is_left_out_and_said():
    found = measure(results(a="++", b="?"), results(a="-?", b="+"))
    assert (found["flips_lost"].value, found["flips_lost"].n) == (1.0, 1)
    assert "2 harness errors left out" in found["flips_lost"].note


def test_rates_of_nothing_are_nan_with_their_reason():
    none_pass = measure(results(a="--"), results(a="-+"))
    assert math.isnan(none_pass["flip_rate_lost"].value)
    assert none_pass["flip_rate_lost"].note.startswith("there are no clean passes")
    all_pass = measure(results(a="++"), results(a="-+"))
    assert math.isnan(all_pass["flip_rate_won"].value)
    assert all_pass["flip_rate_won"].note.startswith("there are no clean failures")
    nothing = measure(results(a="?"), results(a="+"))
    assert math.isnan(nothing["flips_lost"].value)
    assert nothing["flips_lost"].note.startswith("no completion has a verdict on both prompts")


def test_the_clean_set_and_a_set_without_a_clean_one_have_none():
    assert Flips().measure(Evaluation("p", "clean", results(a="+")), CELL) == []


def test_intervals_of_rates_are_shares_and_say_where_few_completions_carry_them():
    clean = results(**{f"t{n}": "-" if n < 5 else "+" for n in range(100)})
    found = measure(clean, results(**{f"t{n}": "+" if n < 3 else "+-"[n % 2] for n in range(100)}))
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in found.values())
    assert found["flip_rate_won"].value == pytest.approx(0.8)
    assert found["flip_rate_won"].note == "rough interval: fewer than 10 clean failures"
    assert found["flip_rate_lost"].note == ""


def test_draws_that_disagree_widen_the_rates_as_they_widen_the_shares():
    tasks = [f"t{n}" for n in range(40)]
    clean = results(**dict.fromkeys(tasks, "+"))
    one = results(**{task: "+-"[n < 20] for n, task in enumerate(tasks)})
    other = results(**{task: "+-"[n >= 22] for n, task in enumerate(tasks)})
    found = measure(clean, one, other)
    share, rate = found["flips_lost"], found["flip_rate_lost"]
    assert share.value == rate.value and rate.high - rate.low > 0.9 * (share.high - share.low)
