"""Bootstraps over problems: the difference of two cells, and which of several settings has the best score.

Sources: Rubin (1981) for the Bayesian bootstrap; Cameron, Gelbach and Miller (2008) for resampling whole clusters. The
problems are the clusters: all values of a problem, of whatever model and seed, stay together. The interval of a
difference and its p come from the same resamples, so that 0 lies outside the interval where p is below .05.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysweep.errors import UsageError
from raysweep.seeding import DEFAULT_SEED
from raysweep.stats.bootstrap import (
    LOST_OR_WON,
    RESAMPLES,
    even_interval,
    resampled_means,
    resampled_settings,
    statistic_ends,
)
from raysweep.stats.intervals import COVERAGE, FEWEST, Draws, draw_means, drawn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEW_PROBLEMS = 10
ROUGH = f"fewer than {FEW_PROBLEMS} problems: interval and p are rough"
ONE_DRAW = "a setting has one draw: of it the interval knows the spread between problems only"


@dataclass(frozen=True)
class DifferenceOfMeans:
    """A problem-clustered paired bootstrap of the difference of two means.

    Attributes:
        n: number of problems, which are the clusters.
        values: numbers behind both means together.
        difference: mean of the first minus mean of the second; each problem counts once.
        low: lower end of the 95 % interval.
        high: upper end.
        p: two-sided: twice the smaller share of resamples on one side of 0; at least `smallest_p`. It is 1 where no
            problem differs.
        smallest_p: that so many resamples can show.
        assumes: what must hold for interval and p.
        note: what a reader must know; empty if there is nothing.
    """

    n: int
    values: int
    difference: float
    low: float
    high: float
    p: float
    smallest_p: float
    assumes: str = "problems are drawn independently of each other; models and seeds are the ones that there are"
    note: str = ""


def bootstrap_difference(first: Draws, second: Draws, seed: int = DEFAULT_SEED) -> DifferenceOfMeans:
    """Compare two cells, or two groups of cells, over the same problems.

    Args:
        first: for each problem its values from 0 to 1, such as pass@1, one for each model and seed; at least one. An
            array is (problems, values), with NaN where there is none.
        second: the same of the other cells, with the problems in the same order.
        seed: the seed of the resamples.

    Raises:
        UsageError: the numbers of problems differ, there are fewer than two, or a value isn't from 0 to 1.
    """
    import numpy as np

    if len(first) != len(second) or len(first) < FEWEST:
        raise UsageError(
            f"a difference needs the same problems on both sides, at least {FEWEST}; "
            f"they have {len(first)} and {len(second)}"
        )
    for name, cells in (("first", first), ("second", second)):
        _require_shares(name, cells)
    tables = [drawn(cells) for cells in (first, second)]
    means = np.asarray([[draw_means(values)] for values in tables])
    if (means[0] == means[1]).all():
        value, (low, high), p = 0.0, even_interval(len(first)), 1.0
    else:
        resampled_first, resampled_second = resampled_means(means, LOST_OR_WON, seed)
        differences = resampled_first - resampled_second
        value = float((means[0] - means[1]).mean())
        low, high = (float(end[0]) for end in statistic_ends(differences, np.asarray([value])))
        tail = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
        p = min(1.0, 2 * (tail + 1) / (RESAMPLES + 1))
    return DifferenceOfMeans(
        n=len(first),
        values=sum(int(np.isfinite(values).sum()) for values in tables),
        difference=value,
        low=low,
        high=high,
        p=p,
        smallest_p=2 / (RESAMPLES + 1),
        note=ROUGH if len(first) < FEW_PROBLEMS else "",
    )


@dataclass(frozen=True)
class BestSetting:
    """Which of several settings has the best score, and how sure that is.

    Attributes:
        n: number of problems.
        draws: of each setting.
        settings: in their order, such as rising ratios.
        scores: of each setting: the mean over problems and draws.
        best: the setting with the best score; the first of those in `tied`.
        tied: all settings with that score.
        shares: of the resamples in which a setting is the best; those that tie share a resample.
        interval: the smallest run of neighbouring settings around `best` that holds 95 % of the resamples.
        assumes: what must hold for shares and interval.
        note: what a reader must know; empty if there is nothing.
    """

    n: int
    draws: tuple[int, ...]
    settings: tuple[str, ...]
    scores: tuple[float, ...]
    best: str
    tied: tuple[str, ...]
    shares: tuple[float, ...]
    interval: tuple[str, ...]
    assumes: str = "problems are drawn independently of each other, draws likewise; neighbours in the order are alike"
    note: str = ""


def argmax_interval(scores: Mapping[str, Sequence[Sequence[float]]], seed: int = DEFAULT_SEED) -> BestSetting:
    """Bootstrap over problems and draws which setting has the largest mean.

    Settings share the weights of problems in a resample, so they stay paired (`bootstrap.resampled_settings`).

    Args:
        scores: for each setting, in order, each problem's values from 0 to 1, one for each draw; problems are the same
            and in the same order in all settings. A draw is a draw of a perturbation, or a seed of fine-tuning.
        seed: the seed of the resamples.

    Raises:
        UsageError: fewer than two settings or problems, settings with other problems, problems of a setting with
            unequally many draws, or a value that isn't from 0 to 1.
    """
    import numpy as np

    values = _checked_settings(scores)
    shares = _are_best(resampled_settings(values, seed).T).mean(axis=0)
    means = np.asarray([of_setting.mean() for of_setting in values])
    is_best = _are_best(means[None, :])[0] > 0
    names, place = tuple(scores), int(np.argmax(is_best))
    runs = [
        (end - start, -float(shares[start:end].sum()), start, end)
        for start in range(place + 1)
        for end in range(place + 1, len(shares) + 1)
        if shares[start:end].sum() >= COVERAGE - 1e-9 or end - start == len(shares)
    ]
    _, _, start, end = min(runs)  # the shortest; of equals that which holds most
    tied = tuple(name for name, best in zip(names, is_best, strict=True) if best)
    draws = tuple(of_setting.shape[1] for of_setting in values)
    notes = (f"{' and '.join(tied)} tie" if len(tied) > 1 else "", ONE_DRAW if min(draws) == 1 else "")
    return BestSetting(
        n=len(values[0]),
        draws=draws,
        settings=names,
        scores=tuple(map(float, means)),
        best=names[place],
        tied=tied,
        shares=tuple(map(float, shares)),
        interval=names[start:end],
        note="; ".join(filter(None, notes)),
    )


def _require_shares(name: str, cells: Draws) -> None:
    import numpy as np

    rows: Any = cells
    if isinstance(cells, np.ndarray) and cells.ndim == 2:
        if cells.size and ((cells >= 0) & (cells <= 1)).all():
            return  # as soon as can be: a sweep compares thousands of cells
        rows = [[value for value in row if not math.isnan(value)] for row in cells.tolist()]
    for number, values in enumerate(rows, 1):
        if not isinstance(values, Collection):
            raise UsageError(f"problem {number} of {name} is {values!r}; give a list of values, such as [{values!r}]")
        if not len(values):
            raise UsageError(f"problem {number} of {name} has no value; leave it out of both sides")
        if wrong := [value for value in values if not 0 <= value <= 1]:
            raise UsageError(f"problem {number} of {name} has the value {wrong[0]:g}; values lie between 0 and 1")


def _checked_settings(scores: Mapping[str, Sequence[Sequence[float]]]) -> list[NDArray[np.float64]]:
    """Return (problems, draws) of each setting."""
    import numpy as np

    if len(scores) < FEWEST:
        raise UsageError(f"the best of several settings needs at least {FEWEST} settings, not {len(scores)}")
    first, count = next((name, len(rows)) for name, rows in scores.items())
    for name, rows in scores.items():
        if flat := [row for row in rows if not isinstance(row, Collection)]:
            raise UsageError(f"a problem of setting {name} is {flat[0]!r}; give a list of draws: [{flat[0]!r}]")
        if len(rows) < FEWEST or len({len(row) for row in rows}) != 1 or not len(rows[0]):
            raise UsageError(f"setting {name} needs at least {FEWEST} problems with equally many draws each")
        if len(rows) != count:
            raise UsageError(f"settings {first} and {name} need the same problems; leave others out of all")
        for number, row in enumerate(rows, 1):
            if wrong := [value for value in row if not 0 <= value <= 1]:
                raise UsageError(
                    f"problem {number} of setting {name} has the value {wrong[0]:g}; values lie between 0 and 1: leave "
                    "that problem out of all settings"
                )
    return [np.asarray([list(row) for row in rows], dtype=np.float64) for rows in scores.values()]


def _are_best(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for each row, 1 at its largest mean; those that tie share it."""
    import numpy as np

    largest = means.max(axis=1, keepdims=True)
    best = means >= largest - 1e-12 * np.abs(largest)  # sums in another order differ in the last bit
    return np.asarray(best / best.sum(axis=1, keepdims=True))
