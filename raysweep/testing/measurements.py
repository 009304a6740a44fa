"""What holds for the numbers of metrics and of comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, isnan
from typing import Any

from raysweep.metrics.base import Measurement

ROUNDING = 1e-9
"""How far a value may lie outside its interval: means of the same numbers differ by less."""

Measured = Mapping[str, Sequence[Measurement]]
"""The numbers of a part by the name of the example that they are of."""


def check_names(measured: Measured) -> None:
    """Fail unless each example has a list of numbers with names of their own."""
    for example, numbers in measured.items():
        assert isinstance(numbers, list) and all(isinstance(one, Measurement) for one in numbers), (
            f"{example}: measure() returns a list of Measurement"
        )
        names = [one.metric for one in numbers]
        assert all(names) and len(set(names)) == len(names), f"{example}: each number has a name of its own: {names}"


def check_undefined(measured: Measured) -> None:
    """Fail unless undefined numbers are NaN with a reason, and defined ones are finite."""
    for example, numbers in measured.items():
        for one in numbers:
            assert isnan(one.value) or isfinite(one.value), f"{example}: {one.metric} is NaN where it is undefined"
            assert not isnan(one.value) or one.note, f"{example}: {one.metric} is undefined, and `note` has the reason"
            assert one.n > 0 or isnan(one.value), (
                f"{example}: {one.metric} rests on no problem, so it is undefined: NaN with the reason, never 0"
            )


def check_intervals(measured: Measured) -> None:
    """Fail unless values lie in their intervals; a number without an interval has NaN for both ends."""
    for example, numbers in measured.items():
        for one in numbers:
            has_none = isnan(one.low) and isnan(one.high)
            holds = one.low - ROUNDING <= one.value <= one.high + ROUNDING
            assert has_none or holds, (
                f"{example}: {one.metric} is {one.value}, outside its interval from {one.low} to {one.high}; where "
                "there is no interval, both ends are NaN"
            )


def values(numbers: Sequence[Measurement]) -> list[tuple[Any, ...]]:
    """Return numbers without notes, such that NaN equals NaN."""
    return [(one.metric, repr(one.value), repr(one.low), repr(one.high), one.n) for one in numbers]
