"""Friedman's test of several methods on the same problems.

Source: Friedman (1937); Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", section 7.1; Kendall and
Babington Smith (1939) for W. The statistic is scipy's, which divides by Conover's correction for ties,
1 - sum(t^3 - t) / (n k (k^2 - 1)) over groups of t equal numbers in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysweep.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST_METHODS = 3
FEWEST_ROWS = 2
ROUGH_ROWS = 10
ROUGH = f"fewer than {ROUGH_ROWS} rows: the chi-square distribution is a rough one of the statistic"
ALL_TIED = "all methods are equal in every row"
DIGITS = 12
"""Numbers that agree to so many digits of the largest one are ties."""


@dataclass(frozen=True)
class Friedman:
    """What Friedman's test found.

    Attributes:
        n: number of rows: problems, or models.
        methods: number of columns.
        statistic: Friedman's chi-square, corrected for ties.
        df: its degrees of freedom: methods - 1.
        p: that the methods are equal, from the chi-square distribution.
        w: Kendall's W, statistic / (n df): 0 where rows rank the methods in no common order, 1 where all agree.
        mean_ranks: of each method over the rows; 1 is the smallest number.
        tied_rows: rows in which methods are equal.
        assumes: what must hold for p.
        note: what a reader must know; empty if there is nothing.
    """

    n: int
    methods: int
    statistic: float
    df: int
    p: float
    w: float
    mean_ranks: tuple[float, ...]
    tied_rows: int
    assumes: str = "rows are independent of each other"
    note: str = ""


def friedman(values: Sequence[Sequence[float]]) -> Friedman:
    """Test whether methods differ, given one number for each row and method.

    Args:
        values: for each row (problem or model) one number for each method, such as pass@1, in any unit.

    Raises:
        UsageError: fewer than three methods or two rows, rows of different length, or a number that isn't finite.
    """
    import numpy as np
    from scipy.stats import friedmanchisquare, rankdata

    table = _table(values)
    rows, methods = table.shape
    ranks = rankdata(table, axis=1)
    tied = sum(len(set(row)) < methods for row in ranks)
    all_tied = bool((table == table[:, :1]).all())
    statistic, p = (0.0, 1.0) if all_tied else map(float, friedmanchisquare(*table.T))
    return Friedman(
        n=rows,
        methods=methods,
        statistic=statistic,
        df=methods - 1,
        p=p,
        w=statistic / (rows * (methods - 1)),
        mean_ranks=tuple(map(float, np.mean(ranks, axis=0))),
        tied_rows=tied,
        note=ALL_TIED if all_tied else ROUGH if rows < ROUGH_ROWS else "",
    )


def _table(values: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return (rows, methods), with numbers that should be equal made equal."""
    import numpy as np

    if len(values) < FEWEST_ROWS:
        raise UsageError(f"Friedman's test needs at least {FEWEST_ROWS} rows, and there are {len(values)}")
    lengths = [len(row) for row in values]
    if len(set(lengths)) > 1:
        number = next(number for number, length in enumerate(lengths) if length != lengths[0])
        raise UsageError(
            f"row {number + 1} has {lengths[number]} numbers and row 1 has {lengths[0]}; "
            "leave out rows that lack a method, and say how many"
        )
    if lengths[0] < FEWEST_METHODS:
        raise UsageError(
            f"Friedman's test needs at least {FEWEST_METHODS} methods, not {lengths[0]}; signed_rank compares two"
        )
    table = np.asarray(values, dtype=np.float64)
    if not np.isfinite(table).all():
        number = int(np.argmin(np.isfinite(table).all(axis=1)))
        raise UsageError(f"row {number + 1} has a number that is not defined; leave it out, and say how many")
    unit = float(np.abs(table).max()) * 10.0**-DIGITS
    return np.asarray(np.rint(table / unit) if unit else table)
