import math

import pytest

from raysweep.units import count, decimal, duration, formatted


@pytest.mark.parametrize(
    ("number", "digits", "shown"),
    [
        (47.5, 0, "48"),
        (46.5, 0, "47"),
        (-42.5, 0, "−43"),
        (-36.25, 1, "−36.3"),
        (100 * 0.29 - 0.5, 0, "29"),  # a float a little below 28.5
        (-0.04, 1, "0.0"),
        (71.458, 1, "71.5"),
        (math.nan, 1, "nan"),
    ],
)
def test_halves_are_rounded_away_from_0(number: float, digits: int, shown: str):
    assert decimal(number, digits) == shown


def test_the_largest_floats_have_all_their_digits():
    for number in (1e28, -1e28, 2.0**300, 1.7976931348623157e308):
        assert decimal(number, 1) == f"{int(number)}.0".replace("-", "−")
        assert decimal(number, 0) == f"{int(number)}".replace("-", "−")


def test_signs_are_shown_and_exponents_left_as_they_are():
    assert [decimal(number, 1, "+") for number in (0.25, 0.04, -0.25)] == ["+0.3", "0.0", "−0.3"]
    assert [formatted(number, "{:.3g}") for number in (-0.5, 1e-5, -1e-5, 0)] == ["−0.5", "1e-05", "−1e-05", "0"]


def test_durations_and_counts_read_well():
    assert [duration(s) for s in (42, 185, 7800)] == ["42 s", "3 min 05 s", "2 h 10 min"]
    assert [count(n, "cell") for n in (0, 1, 2, 1200)] == ["0 cells", "1 cell", "2 cells", "1,200 cells"]
