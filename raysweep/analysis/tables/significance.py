"""Builds tables of signed-rank tests, such as whether fine-tuning on perturbed data changes RD.

Pairs are models, each with one training set and one test set (study.md section 7). Which tests there are, the files of
`raysweep.analysis.exhibits` say. Beside the study's test stands an exact sign-flip test whose units are
base models with weights of their own, because the pairs of one model are not independent. Holm's adjustment is over the
rows of a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raysweep.analysis.tables.frame import ScoreFrame, ScoreKey
from raysweep.analysis.tables.quantities import Quantity, p_text
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.stats.paired_tests import FEWEST_UNITS, MOST_UNITS, sign_flip
from raysweep.stats.rank_tests import FEWEST, SignedRank, holm, signed_rank
from raysweep.stats.stability import FEWEST_CLUSTERS, independent_units, leave_one_out
from raysweep.units import count

COLUMNS = (
    *(Column(name) for name in ("n", "W", "p", "p (Holm)", "method", "r_z", "rank-biserial", "estimate", "units")),
    *(Column(name) for name in ("p (sign flips)", "p (one unit left out)")),
)
POINTS = Quantity("", "estimate", "points", signed=True)
CAPTION = (
    "Pairs are models, each with one recipe, training set and test set, and the baseline; seeds are averaged. n: pairs "
    "with a difference. W: the smaller sum of ranks. p: two-sided; method: from all patterns of signs, or from the "
    "normal approximation, which is rough for few pairs. r_z: |Z|/sqrt(n), which the study calls rank-biserial; "
    "rank-biserial: the matched-pairs correlation. Estimate: Hodges and Lehmann's, of the model minus its baseline in "
    "points, with a 95 % interval. Units: base models with weights of their own. Sign flips: an exact test that flips "
    "all pairs of a unit together. One unit left out: the largest p of the test without each unit in turn, and in "
    "brackets the range."
)

SEVERAL_RECIPES = "A model counts once for each of its recipes, as if they were models; units and sign flips don't."


@dataclass(frozen=True)
class Case:
    """One test: the models fine-tuned on some training sets against those of a baseline, on some test sets."""

    label: str
    baseline: str
    training_sets: Sequence[str]
    perturbations: Sequence[str]
    metric: str


@dataclass(frozen=True)
class ScorePair:
    """Two numbers of one base model, in percent: of the baseline, and of the model compared with it."""

    model: str
    baseline: float
    value: float


@dataclass(frozen=True)
class TestFamily:
    """The tests of one table, for which Holm's adjustment counts.

    Attributes:
        title: of the table, without the problem set.
        caption: what stands before `CAPTION`.
        stub: the heading of the tests' labels.
        cases: the tests.
        sizes: whether they are of numbers without their signs.
        label: of the table, without the problem set.
    """

    title: str
    caption: str
    stub: str
    cases: Sequence[Case]
    sizes: bool = False
    label: str = ""


def significance_table(frame: ScoreFrame, problems: str, family: TestFamily) -> Table | None:
    cases, sizes = family.cases, family.sizes
    found_pairs = [_pairs(frame, problems, case, sizes=sizes) for case in cases]
    pairs, lacking = [pairs for pairs, _ in found_pairs], [number for _, number in found_pairs]
    if not any(len({pair.model for pair in of_case}) >= FEWEST for of_case in pairs):
        return None
    defined = [[pair for pair in of_case if not math.isnan(pair.value - pair.baseline)] for of_case in pairs]
    tests = [
        signed_rank([pair.value for pair in of_case], [pair.baseline for pair in of_case])
        if len(of_case) >= FEWEST
        else None
        for of_case in defined
    ]
    adjusted = holm([math.nan if test is None else test.p for test in tests])
    rows = tuple(
        Row((case.label,), _cells(frame, of_case, _left_out(len(everything) - len(of_case), without), test, p))
        for case, everything, without, of_case, test, p in zip(
            cases, pairs, lacking, defined, tests, adjusted, strict=True
        )
    )
    words = {**frame.order.training_words, **frame.order.words}
    models = {pair.model for of_case in defined for pair in of_case}
    several = len(models) < len({(one.model, one.recipe) for one in frame.variants if one.model in models})
    caption = " ".join(filter(None, (family.caption, CAPTION, SEVERAL_RECIPES if several else "")))
    label = f"{family.label}-{problems}" if family.label else ""
    return Table(f"{family.title}, {problems}", caption, (family.stub,), COLUMNS, rows, row_words=words, label=label)


def _pairs(frame: ScoreFrame, problems: str, case: Case, *, sizes: bool) -> tuple[list[ScorePair], int]:
    values: dict[tuple[str, str, str, str], list[tuple[float, float]]] = {}
    lacking = 0
    for variant in frame.variants:
        for training_set in case.training_sets:
            for perturbation in case.perturbations:
                keys = [ScoreKey(variant, name, problems, perturbation) for name in (case.baseline, training_set)]
                scores = [score for key in keys if (score := frame.score(key, case.metric)) is not None]
                if len(scores) == len(keys):
                    first, second = (100 * (abs(score.value) if sizes else score.value) for score in scores)
                    pair = (variant.model, variant.recipe, training_set, perturbation)
                    values.setdefault(pair, []).append((first, second))
                else:
                    lacking += any(frame.failure(key) is not None or frame.is_missing(key) for key in keys)
    pairs = [
        ScorePair(key[0], *(sum(ends) / len(seeds) for ends in zip(*seeds, strict=True)))
        for key, seeds in values.items()
    ]
    return pairs, lacking


def _left_out(undefined: int, lacking: int) -> list[str]:
    notes = [f"{count(undefined, 'pair')} with an undefined number left out"] if undefined else []
    return notes + ([f"{count(lacking, 'pair')} without a model that failed or is missing"] if lacking else [])


def _cells(
    frame: ScoreFrame, pairs: Sequence[ScorePair], notes: list[str], test: SignedRank | None, adjusted: float
) -> tuple[TableCell, ...]:
    if test is None:
        notes.append(f"{count(len(pairs), 'pair')}; a test needs {FEWEST}")
        dash = TableCell.dash("; ".join(notes))
        return (TableCell.number(len(pairs), f"{len(pairs)}"), *[dash] * (len(COLUMNS) - 1))
    notes += [test.note] if test.note else []
    notes += [f"{count(test.zero_pairs, 'pair')} without a difference"] if test.zero_pairs else []
    units = [frame.order.weights.get(pair.model, pair.model) for pair in pairs]
    weights = dict(zip((pair.model for pair in pairs), units, strict=True))
    independent = independent_units(list(weights), list(weights.values()))
    bounds: dict[str, Any] = {}
    if math.isfinite(test.low) and math.isfinite(test.high):
        interval = f"[{POINTS.format(test.low / 100)}, {POINTS.format(test.high / 100)}]"
        bounds = {"interval": interval, "low": test.low, "high": test.high}
    return (
        TableCell.number(test.n, str(test.n), "; ".join(notes)),
        TableCell.number(test.statistic, f"{test.statistic:g}"),
        TableCell.number(test.p, p_text(test.p)),
        TableCell.number(adjusted, p_text(adjusted)),
        TableCell.said(test.method),
        TableCell.number(test.r_z, f"{test.r_z:.3f}"),
        TableCell.number(test.rank_biserial, f"{test.rank_biserial:+.3f}".replace("-", "−")),
        TableCell.number(test.estimate, POINTS.format(test.estimate / 100), **bounds),
        TableCell.number(independent.units, str(independent.units), independent.note),
        _sign_flip_cell(pairs, units),
        _left_out_cell(pairs, units),
    )


def _left_out_cell(pairs: Sequence[ScorePair], units: Sequence[str]) -> TableCell:
    models: dict[str, dict[str, None]] = {}
    for pair, unit in zip(pairs, units, strict=True):
        models.setdefault(unit, {})[pair.model] = None
    if len(models) < FEWEST_CLUSTERS:
        return TableCell.dash(f"{count(len(models), 'unit')}; leaving out one takes {FEWEST_CLUSTERS}")
    names = [" and ".join(models[unit]) for unit in units]
    stability = leave_one_out([pair.value for pair in pairs], [pair.baseline for pair in pairs], names)
    low, high = stability.lowest_p, stability.highest_p
    span = f"[{p_text(low)}, {p_text(high)}]"
    return TableCell.number(high, p_text(high), stability.note, interval=span, low=low, high=high)


def _sign_flip_cell(pairs: Sequence[ScorePair], units: Sequence[str]) -> TableCell:
    if not FEWEST_UNITS <= len(set(units)) <= MOST_UNITS:
        note = f"{count(len(set(units)), 'unit')}; an exact sign-flip test takes {FEWEST_UNITS} to {MOST_UNITS}"
        return TableCell.dash(note)
    flips = sign_flip([pair.value - pair.baseline for pair in pairs], units)
    note = f"the smallest p of {flips.units} units is {flips.smallest_p:.4g}"
    return TableCell.number(flips.p, p_text(flips.p), note)
