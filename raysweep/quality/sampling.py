"""Draws the completions to lint: Cochran's sample size, and a simple random sample keyed by seed and names.

A unit is one completion: sample 0 of a problem of the clean test set, by one model. The fine-tuned models' units are a
population, the base models' another one (a stratum): there are so few bases that a joint sample would hardly hold them.

Source: Cochran, "Sampling Techniques" (3rd edition, 1977), section 4.4: n0 = z^2 p (1 - p) / e^2, and with the finite
population correction n = n0 / (1 + (n0 - 1) / N), rounded up. The study samples 380 of 31,878 (161 problems x 198
models) and 383 of 84,546 (427 x 198) with 95 %, +-5 % and p = 0.5.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from raysweep.errors import UsageError
from raysweep.seeding import DEFAULT_SEED, derive

MARGIN, Z, SHARE = 0.05, 1.96, 0.5
"""The study's margin of error, the normal quantile of its confidence (95 %), and the share that needs most units."""
TUNED, BASES = "tuned", "bases"
"""Names of the strata."""


@dataclass(frozen=True, slots=True, order=True)
class Sampled:
    """One completion of a population: sample 0 of a problem, by the model of a cell."""

    cell: str
    task_id: str


@dataclass(frozen=True, slots=True)
class Stratum:
    """The units drawn from one population."""

    name: str
    population: int  # units that there are
    units: tuple[Sampled, ...]  # those that were drawn, sorted

    @property
    def share(self) -> float:
        return len(self.units) / self.population


def cochran_size(population: int, margin: float = MARGIN, z: float = Z, share: float = SHARE) -> int:
    """Return how many units of a finite population estimate a share with a margin of error.

    Args:
        population: number of units.
        margin: half the width of the share's interval.
        z: the normal quantile of the interval's confidence: 1.96 for 95 %.
        share: the share that is expected; 0.5 needs most units, and is right where nothing is known.

    Raises:
        UsageError: the population is empty, or another argument lies outside its range.
    """
    if population < 1:
        raise UsageError(f"a population of {population} units can't be sampled; it needs at least one")
    if not 0 < margin < 1 or not 0 < share < 1 or not 0 < z < math.inf:
        raise UsageError(
            f"margin={margin:g}, z={z:g}, share={share:g}: margin and share lie between 0 and 1, and z above 0 "
            "(1.96 for 95 %)"
        )
    quantile, part, half = (Fraction(str(value)) for value in (z, share, margin))  # exact: rounding up counts
    unlimited = quantile**2 * part * (1 - part) / half**2
    return min(population, math.ceil(unlimited / (1 + (unlimited - 1) / population)))


def draw(units: Sequence[Sampled], size: int, *names: str, seed: int = DEFAULT_SEED) -> list[Sampled]:
    """Draw units without replacement, each subset of the size being equally likely.

    Units are ranked by a hash of seed, names and unit, so the draw depends neither on their order nor on the process,
    and a population that grows by a cell keeps most of its sample.

    Args:
        units: the population.
        size: number of units to draw; a smaller population is taken whole.
        names: what the sample is of, such as the problem set; other names give another sample.
        seed: of the draw.

    Returns:
        The drawn units, sorted.

    Raises:
        UsageError: a unit occurs twice, or `size` is negative.
    """
    if size < 0:
        raise UsageError(f"{size} units can't be sampled; give 0 or more")
    unit, times = max(Counter(units).items(), key=lambda pair: pair[1], default=(None, 0))
    if times > 1 and unit is not None:
        raise UsageError(f"problem {unit.task_id} of cell {unit.cell} is listed {times} times; list each unit once")
    ranked = sorted(units, key=lambda unit: (derive(seed, "quality", *names, unit.cell, unit.task_id), unit))
    return sorted(ranked[:size])


def draw_strata(
    tuned: Sequence[Sampled],
    bases: Sequence[Sampled],
    problem_set: str,
    *,
    size: int | None = None,
    seed: int = DEFAULT_SEED,
) -> list[Stratum]:
    """Draw from the fine-tuned models' completions, and as many from the base models'.

    `size`: units of each stratum; None: Cochran's for the larger population, which is the study's fine-tuned models. A
    smaller population is taken whole.

    Returns:
        The strata that have units: `TUNED`, then `BASES`.

    Raises:
        UsageError: there are no units at all, or a unit occurs twice.
    """
    wanted = cochran_size(max(len(tuned), len(bases))) if size is None else size
    return [
        Stratum(name, len(units), tuple(draw(units, wanted, problem_set, name, seed=seed)))
        for name, units in ((TUNED, tuned), (BASES, bases))
        if units
    ]
