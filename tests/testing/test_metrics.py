"""Each test of the suites for metrics and comparisons fails on a part that is broken in its way."""

from __future__ import annotations

import itertools
import random
from math import inf, nan

import pytest

from raysweep.analysis.comparisons.base import Comparison
from raysweep.metrics.base import Measurement, Metric
from raysweep.programs import Outcome
from raysweep.stats.intervals import mean_interval
from raysweep.testing.comparisons import ComparisonContract
from raysweep.testing.metrics import MetricContract
from tests.testing.bites import Broken, claims_of, message


class Passed(Metric):
    """``passed``: the share of completions that pass."""

    name = "pass_at_k"  # any that is registered

    def measure(self, evaluation, cell):
        return self.of([one for one in evaluation.results if one.outcome != Outcome.HARNESS_ERROR])

    def of(self, judged):
        if not judged:
            return [Measurement("passed", nan, nan, nan, 0, "there are no verdicts")]
        shares = [float(one.outcome == Outcome.PASSED) for one in judged]
        problems = len({one.task_id for one in judged})
        return [Measurement("passed", sum(shares) / len(shares), *mean_interval(shares), problems)]


class Gain(Comparison):
    """``gain``: how much more often the second cell passes."""

    name = "pass_rates"

    def measure(self, first, second):
        return self.of([(first.rates[task], second.rates[task]) for task in first.rates if task in second.rates])

    def of(self, pairs):
        if not pairs:
            return [Measurement("gain", nan, nan, nan, 0, "no problem has a verdict of both")]
        return [Measurement("gain", sum(new - old for old, new in pairs) / len(pairs), nan, nan, len(pairs))]


def always(part, *numbers):
    return type("Always", (part,), {"of": lambda self, values: list(numbers)})


def counted(part):
    turns = itertools.count()
    return type("Counted", (part,), {"of": lambda self, values: [Measurement("turn", next(turns), nan, nan, 1)]})


def drawn(part):
    return type("Drawn", (part,), {"of": lambda self, values: [Measurement("one", random.random(), nan, nan, 1)]})


class WithErrors(Passed):
    def measure(self, evaluation, cell):
        return self.of(evaluation.results)


class Failing(Passed):
    def of(self, judged):
        return [Measurement("passed", 1 / len(judged), nan, nan, 1)]


class OfAll(Gain):
    def measure(self, first, second):
        return self.of([(rate, second.rates.get(task, 0.0)) for task, rate in first.rates.items()])


def asks(part):
    class Asks(part):
        def __init__(self, k: int) -> None:
            self.k = k

    return lambda: Asks(1)


def broken(part) -> Broken:
    """Return the parts that break what holds for metrics and for comparisons."""
    one = Measurement("one", 0.5, 0.4, 0.6, 9)
    return {
        "test_it_is_built_without_arguments": (asks(part), "all that it has need a default; k has none"),
        "test_its_numbers_have_names": (always(part, one, one), "each number has a name of its own"),
        "test_an_example_has_a_number": (always(part), "has a number"),
        "test_undefined_numbers_are_nan_with_the_reason": (
            always(part, Measurement("one", 0.0, nan, nan, 0)), "rests on no problem, so it is undefined",
        ),
        "test_values_lie_in_their_intervals": (
            always(part, Measurement("one", 0.7, 0.4, 0.6, 9)), "one is 0.7, outside its interval",
        ),
        "test_n_counts_problems": (always(part, Measurement("one", 0.5, 0.4, 0.6, 24)), "one has n = 24; n is the"),
    }  # fmt: skip


METRICS: Broken = {
    **broken(Passed),
    "test_harness_errors_are_left_out": (WithErrors, "further ones change no number"),
    "test_equal_evaluations_give_equal_numbers_in_every_process": (counted(Passed), "equal evaluations give equal"),
}
COMPARISONS: Broken = {
    **broken(Gain),
    "test_only_problems_with_a_verdict_of_both_cells_count": (OfAll, "those of one change no number"),
    "test_equal_cells_give_equal_numbers_in_every_process": (counted(Gain), "equal cells give equal numbers"),
}
OF_NUMBERS = sorted(set(METRICS) - {"test_it_is_built_without_arguments"})
CASES = [(MetricContract, test, *case) for test, case in METRICS.items()] + [
    (ComparisonContract, test, *case) for test, case in COMPARISONS.items()
]


@pytest.mark.parametrize(("suite", "test", "make", "words"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_part_fails(suite, test, make, words):
    assert words in message(suite, test, make)


def test_every_test_was_seen_to_fail():
    assert claims_of(MetricContract) == set(METRICS)
    assert claims_of(ComparisonContract) == set(COMPARISONS)


@pytest.mark.parametrize(
    ("test", "make", "words"),
    [
        ("test_undefined_numbers_are_nan_with_the_reason", always(Passed, Measurement("one", inf, nan, nan, 1)), "NaN"),
        (
            "test_undefined_numbers_are_nan_with_the_reason",
            always(Passed, Measurement("one", nan, nan, nan, 0)),
            "note",
        ),
        *((test, Failing, "measure() raises nothing: what it can't tell is an undefined") for test in OF_NUMBERS),
        (
            "test_equal_evaluations_give_equal_numbers_in_every_process",
            drawn(Passed),
            "the generator of the whole process in random was used",
        ),
        (
            "test_equal_evaluations_give_equal_numbers_in_every_process",
            Passed,
            "another process gives the same numbers",
        ),
    ],
)
def test_further_ways_to_be_broken(test, make, words):
    assert words in message(MetricContract, test, make)


@pytest.mark.parametrize(
    ("suite", "part", "tests"), [(MetricContract, Passed, METRICS), (ComparisonContract, Gain, COMPARISONS)]
)
def test_a_part_that_keeps_the_contract_passes(suite, part, tests):
    passing = [test for test in tests if not test.endswith("in_every_process")]  # there another part has its name
    assert {test: message(suite, test, part) for test in passing} == dict.fromkeys(passing, "")


def test_a_class_that_asks_for_an_argument_is_named_by_tests_of_its_numbers_too():
    class Asks(Passed):
        def __init__(self, k: int) -> None:
            self.k = k

    assert "a metric is built without arguments" in message(MetricContract, OF_NUMBERS[0], Asks)
