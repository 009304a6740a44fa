"""What the contracts of metrics and of comparisons say of their numbers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import isfinite, isnan
from typing import Any

import pytest

from raysweep.metrics.base import Measurement
from raysweep.testing.contract import WithoutArguments

ROUNDING = 1e-9
"""How far a value may lie outside its interval: means of the same numbers differ by less."""


class MeasurementContract(WithoutArguments):
    """Tests of the numbers of a part with a method `measure`."""

    @abstractmethod
    def examples(self) -> Mapping[str, tuple[Any, ...]]:
        """Return arguments of `measure` by what they are."""

    @abstractmethod
    def problems(self, *arguments: Any) -> int:
        """Return how many problems an example has."""

    def measured(self) -> Mapping[str, list[Measurement]]:
        """Return the numbers of each example."""
        return measured(self.part(), self.examples())

    def test_its_numbers_have_names(self) -> None:
        """Tables show numbers by name."""
        for example, numbers in self.measured().items():
            assert isinstance(numbers, list) and all(isinstance(number, Measurement) for number in numbers), (
                f"{example}: measure() returns a list of Measurement"
            )
            names = [number.metric for number in numbers]
            has_own = all(names) and len(set(names)) == len(names)
            assert has_own, f"{example}: each number has a name of its own: {names}"

    def test_an_example_has_a_number(self) -> None:
        """A part that never applies measures nothing."""
        assert any(self.measured().values()), f"at least one example has a number: {', '.join(self.examples())}"

    def test_undefined_numbers_are_nan_with_the_reason(self) -> None:
        """An undefined number is never 0."""
        for example, numbers in self.measured().items():
            for number in numbers:
                assert isnan(number.value) or isfinite(number.value), (
                    f"{example}: {number.metric} is NaN where it is undefined"
                )
                assert not isnan(number.value) or number.note, (
                    f"{example}: {number.metric} is undefined, and `note` has the reason"
                )
                assert number.n > 0 or isnan(number.value), (
                    f"{example}: {number.metric} rests on no problem, so it is undefined: NaN with the reason, never 0"
                )

    def test_n_counts_problems(self) -> None:
        """`n` is the number of problems that a number rests on, not of completions or draws."""
        examples = self.examples()
        for example, numbers in self.measured().items():
            problems = self.problems(*examples[example])
            for number in numbers:
                is_count = isinstance(number.n, int) and 0 <= number.n <= problems
                assert is_count, (
                    f"{example}: {number.metric} has n = {number.n!r}; n is the number of problems that it rests on, "
                    f"here at most {problems}"
                )

    def test_values_lie_in_their_intervals(self) -> None:
        """`low` and `high` are the ends of a 95 % interval."""
        for example, numbers in self.measured().items():
            for number in numbers:
                has_none = isnan(number.low) and isnan(number.high)
                holds = number.low - ROUNDING <= number.value <= number.high + ROUNDING
                assert has_none or holds, (
                    f"{example}: {number.metric} is {number.value}, outside its interval from {number.low} "
                    f"to {number.high}; where there is no interval, both ends are NaN"
                )


def measured(part: Any, examples: Mapping[str, tuple[Any, ...]]) -> dict[str, list[Measurement]]:
    """Return the numbers of each example; fail the test at the first error of `measure`."""
    numbers = {}
    for example, arguments in examples.items():
        try:
            numbers[example] = part.measure(*arguments)
        except Exception as error:
            pytest.fail(
                f"{example}: measure() raises nothing: what it can't tell is an undefined number with the reason in "
                f"`note`, and not {error!r}"
            )
    return numbers


def values(numbers: Sequence[Measurement]) -> list[tuple[Any, ...]]:
    """Return numbers without notes, such that NaN equals NaN."""
    return [(number.metric, repr(number.value), repr(number.low), repr(number.high), number.n) for number in numbers]
