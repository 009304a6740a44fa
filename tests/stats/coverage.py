"""Simulated sweeps from stated populations, and how often 95 % intervals hold what is true of the population.

A population is a distribution of problems. A problem's probability that a completion passes on its clean prompt is
drawn from a Beta distribution with mean `level` and a concentration (the sum of both parameters): at .1 nearly every
problem is always or never solved, at 1 probabilities are spread over the range, at 10 they are alike, and at infinity
all are equal. Its perturbed prompt loses a share of that probability, drawn from Beta(.2, .8): mostly nearly all or
nothing, .2 in the mean; where all problems are equal each loses .2. A second model has .8 of the first one's
probability on half of the problems (problems that are hard for one are hard for both), and on the others a
probability of its own, drawn with the mean .8 `level`; its perturbed prompts lose .1 in the mean. A sweep draws its
problems and completions anew. The target is the population's mean, difference or ratio of means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb, inf, isinf

import numpy as np

from raysweep.seeding import numpy_rng
from raysweep.stats.bootstrap import LOST_OR_WON, resampled_means, statistic_ends
from raysweep.stats.intervals import FEWEST_PASSES, Interval, mean_ends
from raysweep.stats.seeds import mean_over_seeds, shared_variance

LEVELS = (0.01, 0.02, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.98, 0.99)
CONCENTRATIONS = (0.1, 1.0, 10.0, inf)
LOSS = 0.2
SECOND_LOSS = 0.1
CHUNK = 250
"""Sweeps whose resamples are in memory at once."""


@dataclass(frozen=True)
class Population:
    """A distribution of problems, and how many problems and completions a sweep draws.

    Attributes:
        level: the mean probability that a completion passes on a clean prompt.
        concentration: of the problems' probabilities.
        problems: in each sweep.
        samples: completions for each prompt.
    """

    level: float
    concentration: float
    problems: int
    samples: int


@dataclass(frozen=True)
class Coverage:
    """How often the intervals of a quantity hold.

    Attributes:
        quantity: ``pass@1``, ``pass@10``, ``drop``, ``RD``, ``two models`` or ``change of RD``.
        share: of the sweeps in which the quantity is defined, those whose interval holds the population's.
        width: the intervals' mean width.
        counts: False for RD where fewer than 10 clean passes are expected; the report says there that it is rough.
    """

    quantity: str
    share: float
    width: float
    counts: bool = True


def coverages(population: Population, sweeps: int, seed: int = 0) -> Iterator[Coverage]:
    """Yield the coverage of each quantity's intervals in simulated sweeps."""
    names = (f"{population.level:g}", f"{population.concentration:g}", population.problems, population.samples)
    rng = numpy_rng(seed, "coverage", *names)
    level, samples = population.level, population.samples
    clean, perturbed, second, second_perturbed = _probabilities(population, sweeps, rng)
    passed = rng.binomial(samples, clean)
    first = passed / samples
    yield _coverage("pass@1", level, mean_ends(first))
    if samples >= 10:
        estimates = np.array([1 - comb(samples - c, 10) / comb(samples, 10) for c in range(samples + 1)])
        yield _coverage("pass@10", _pass_at(10, population), mean_ends(estimates[passed]))
    after = rng.binomial(samples, perturbed) / samples
    drop, loss = _of_pairs(first, after)
    yield _coverage("drop", -LOSS * level, drop)
    yield _coverage("RD", LOSS, loss, population.problems * level >= FEWEST_PASSES)
    other = rng.binomial(samples, second) / samples
    yield _coverage("two models", -0.2 * level, _of_pairs(first, other)[0])
    four = [first, after, other, rng.binomial(samples, second_perturbed) / samples]
    expects = 0.8 * population.problems * level >= FEWEST_PASSES
    yield _coverage("change of RD", SECOND_LOSS - LOSS, _of_four(np.stack(four)), expects)


def change_coverage(problems: int, lost: float, won: float, edits: int, sweeps: int, seed: int = 0) -> Coverage:
    """Return the coverage of a change of few verdicts, as that of clean pass@1 after edits.

    A problem is one that edits lose with the probability `lost`, and one that they win with the probability `won`. One
    edit changes its verdict then; of several edits, whose mean counts, each changes it by a coin of its own.
    """
    rng = numpy_rng(seed, "few changes", problems, f"{lost:g}", f"{won:g}", edits)
    kind = rng.random((sweeps, problems))
    is_lost, is_won = kind < lost, (lost <= kind) & (kind < lost + won)
    before = np.where(is_lost, True, np.where(is_won, False, rng.random(kind.shape) < 0.6)) * 1.0
    rate = 1.0 if edits == 1 else 0.5
    changed = rng.binomial(edits, rate, kind.shape) / edits
    after = before - changed * is_lost + changed * is_won
    return _coverage("few changes", rate * (won - lost), _of_pairs(before, after)[0])


def seeds_coverages(
    population: Population, seeds: int, spread: float, sweeps: int, seed: int = 0
) -> Iterator[Coverage]:
    """Yield the coverage of the intervals of means over several seeds of fine-tuning.

    A seed moves each probability p of the first model by a p (1 - p), where a is the sum of a draw of the seed, uniform
    with mean 0 and the standard deviation `spread`, and of one of the seed and problem, uniform up to .1. On perturbed
    prompts a third of such a draw of the seed comes to it, so `spread` is at most .38. The second model is a base: it
    has no seeds. The targets are the means over all seeds and problems of the population.
    """
    names = (f"{population.level:g}", f"{population.concentration:g}", population.problems, population.samples)
    rng = numpy_rng(seed, "seeds", *names, seeds, f"{spread:g}")
    level, widest = population.level, 3**0.5 * spread
    first, after, other, _ = _probabilities(population, sweeps, rng)
    numbers: dict[str, list] = {"pass@1": [], "drop": [], "RD": [], "two models": []}
    second = rng.binomial(population.samples, other) / population.samples
    for _ in range(seeds):
        common, more = rng.uniform(-widest, widest, (sweeps, 1)), rng.uniform(-widest, widest, (sweeps, 1)) / 3
        way = common + rng.uniform(-0.1, 0.1, first.shape)
        ways = ((first, way), (after, way + more))
        clean, noised = (rng.binomial(population.samples, p + a * p * (1 - p)) / population.samples for p, a in ways)
        drop, loss = _of_pairs(clean, noised)
        means = clean.mean(axis=1), noised.mean(axis=1), second.mean(axis=1)
        numbers["pass@1"].append((means[0], *mean_ends(clean), clean))
        numbers["drop"].append((means[1] - means[0], *drop, noised - clean))
        numbers["RD"].append((_loss(*means[:2]), *loss, noised - clean))
        numbers["two models"].append((means[2] - means[0], *_of_pairs(clean, second)[0], second - clean))
    common, more = rng.uniform(-widest, widest, (2, 100_000)) / [[1], [3]]
    moved = level + common * (first * (1 - first)).mean(), 0.8 * level + (common + more) * (after * (1 - after)).mean()
    targets = {"pass@1": level, "drop": -LOSS * level, "RD": float(_loss(*moved).mean()), "two models": -0.2 * level}
    for name, of_seeds in numbers.items():
        ends = [_of_seeds([[part[sweep] for part in one] for one in of_seeds]) for sweep in range(sweeps)]
        yield _coverage(name, targets[name], np.array(ends).T)


def _of_seeds(numbers: list) -> tuple[float, float]:
    """Return the interval of the mean over seeds, given each seed's value, both ends, and values by problem."""
    values, lows, highs, by_problem = zip(*numbers, strict=True)
    intervals = [Interval(*ends) for ends in zip(lows, highs, strict=True)]
    mean = mean_over_seeds(values, intervals, by_problem[0].size, shared_variance(np.array(by_problem)))
    return mean.low, mean.high


def _probabilities(population: Population, sweeps: int, rng: np.random.Generator):
    """Return the probabilities to pass, (sweeps, problems) each: clean and perturbed, of one model and the other."""
    shape, level, total = (sweeps, population.problems), population.level, population.concentration
    if isinf(total):
        shares = (1, 1 - LOSS, 0.8, 0.8 * (1 - SECOND_LOSS))
        return tuple(np.full(shape, share * level) for share in shares)
    clean = rng.beta(level * total, (1 - level) * total, shape)
    perturbed = clean * (1 - rng.beta(LOSS, 1 - LOSS, shape))
    other = rng.beta(0.8 * level * total, (1 - 0.8 * level) * total, shape)
    second = np.where(rng.random(shape) < 0.5, 0.8 * clean, other)
    return clean, perturbed, second, second * (1 - rng.beta(SECOND_LOSS, 1 - SECOND_LOSS, shape))


def _pass_at(k: int, population: Population) -> float:
    """Return the population's pass@k: 1 - E[(1 - p)^k]."""
    level, total = population.level, population.concentration
    if isinf(total):
        return 1 - (1 - level) ** k
    steps = np.arange(k)
    return float(1 - np.prod(((1 - level) * total + steps) / (total + steps)))


def _of_pairs(first: np.ndarray, second: np.ndarray):
    """Return the ends of the difference and of RD."""
    drops, losses = [], []
    for start in range(0, len(first), CHUNK):
        before, after = first[start : start + CHUNK], second[start : start + CHUNK]
        resampled = resampled_means(np.stack([before, after]), LOST_OR_WON)
        measured = before.mean(axis=1), after.mean(axis=1)
        drops.append(statistic_ends(_difference(*resampled), _difference(*measured)))
        losses.append(statistic_ends(_loss(*resampled), _loss(*measured)))
    return np.concatenate(drops, axis=1), np.concatenate(losses, axis=1)


def _of_four(values: np.ndarray):
    """Return the ends of the change of RD between two models; values: (4, sweeps, problems)."""
    ends = []
    for start in range(0, values.shape[1], CHUNK):
        chunk = values[:, start : start + CHUNK]
        ends.append(statistic_ends(_change(resampled_means(chunk)), _change(chunk.mean(axis=2))))
    return np.concatenate(ends, axis=1)


def _change(means: np.ndarray) -> np.ndarray:
    first, after, other, other_after = means
    return _loss(other, other_after) - _loss(first, after)


def _difference(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return y - x


def _loss(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(x > 0, (x - y) / x, np.nan)


def _coverage(quantity: str, target: float, ends, counts: bool = True) -> Coverage:
    low, high = ends
    defined = np.isfinite(low)
    holds = (low <= target) & (target <= high)
    return Coverage(quantity, float(holds[defined].mean()), float((high - low)[defined].mean()), counts)
