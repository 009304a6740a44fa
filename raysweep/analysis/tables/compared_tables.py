"""Builds the tables of `raysweep compare`: pairs of cells side by side, and a sweep beside printed numbers.

The pairs with the most flipped verdicts come first, and of those with as many the ones that differ most.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from raysweep.analysis.comparisons.base import ProblemRates, TestSetName
from raysweep.analysis.comparisons.degradation import CHANGE, CLEAN_PART, PERTURBED_PART
from raysweep.analysis.comparisons.estimate import SharedVariance, fewer_seeds, pool_each, rates_over_seeds, seeds_note
from raysweep.analysis.comparisons.pairing import measure_pair
from raysweep.analysis.comparisons.pass_rates import (
    DIFFERENCE,
    GAINED,
    LOST,
    P_HEADINGS,
    P_VALUE,
    TEST_IN_WORDS,
)
from raysweep.analysis.published.reference import COMPARABLE, PROBLEMS, PublishedScore
from raysweep.analysis.published.sums import without_doubles
from raysweep.analysis.tables.frame import Number
from raysweep.analysis.tables.quantities import RD, Quantity, number_cell, p_cell
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.metrics.base import Measurement
from raysweep.metrics.degradation import relative_degradation
from raysweep.records import Score
from raysweep.stats.intervals import FEWEST
from raysweep.stats.rank_tests import holm
from raysweep.units import count

PASS = Quantity("pass@1", "pass@1")
POINTS = Quantity(DIFFERENCE, "difference", "points", signed=True)
SURPRISES = ("no", "yes", "–")
"""Whether a printed number lies inside an interval, in the order of a table's rows; the last: there is no interval."""
STUB = ("cell", "test set")
BEHIND = ("perturbed pass@1 (%)", "perturbed pass@1, difference (points)")
"""Columns beside an RD, which also falls where the clean score does."""
EFFECTS = {DIFFERENCE, CHANGE, PERTURBED_PART, CLEAN_PART}
"""Numbers that are compared with the noise between seeds."""
_Key = tuple[str, str, str, str, str]  # metric, model, training set, problem set, perturbation
_Place = tuple[str, str, str, str, str, int]  # model, training set, problem set, perturbation, recipe, seed


@dataclass(frozen=True)
class ComparedCells:
    """Two cells that are compared.

    Attributes:
        label: what both have in common, in words.
        first: one cell's verdicts by test set.
        second: the other's.
        alike: the label without the seed, which pairs of other seeds share; empty: there are none.
    """

    label: str
    first: Mapping[TestSetName, ProblemRates]
    second: Mapping[TestSetName, ProblemRates]
    alike: str = ""


@dataclass(frozen=True)
class _Compared:
    """Two cells on one test set; `seeds`: the pairs that it is the mean of, if it is one over several seeds."""

    label: str
    alike: str
    test_set: TestSetName
    first: ProblemRates
    second: ProblemRates
    numbers: Mapping[str, Measurement]
    seeds: Sequence[_Compared] = ()

    @property
    def flipped(self) -> float:
        return self.numbers[GAINED].value + self.numbers[LOST].value if GAINED in self.numbers else 0.0


def compared_tables(pairs: Iterable[ComparedCells], first: str, second: str, *, each_seed: bool = False) -> list[Table]:
    """Return a table of pass@1 and, where both cells have clean and perturbed results, one of RD.

    `first`: the heading of the first cells' numbers. `second`: the heading of the second ones'. Differences are second
    minus first. `each_seed`: whether each of several seeds has a row, in place of their mean.
    """
    compared = _with_seeds_notes([one for pair in pairs for one in _compared(pair) if one.numbers[DIFFERENCE].n])
    compared = compared if each_seed else _over_seeds(compared)
    compared.sort(key=lambda pair: (-pair.flipped, -abs(pair.numbers[DIFFERENCE].value), pair.label, pair.test_set))
    changes = [pair for pair in compared if CHANGE in pair.numbers and pair.numbers[CHANGE].n]
    tables = [_pass_table(compared, first, second)] if compared else []
    return tables + ([_rd_table(changes, first, second)] if changes else [])


def published_table(scores: Sequence[Score], printed: Sequence[PublishedScore], source: str, limit: str = "") -> Table:
    """Return a sweep's scores beside printed ones; those whose interval does not hold the printed number come first.

    A model, training set, test set and, where the study has several, recipe are compared where both have them under one
    name; each recipe and seed has a row. HumanEval counts as the study's version of it, and a note says where the
    number of problems isn't the study's. Of a place that the study prints in two tables the first counts in which
    nothing is known to be wrong.

    `limit`: what a limited run left out, in words; empty: nothing.
    """
    theirs = {(_key(score), score.recipe): score for score in reversed(without_doubles(printed))}
    passing = {_place(score): score for score in scores if score.metric == PASS.metric}
    rows = [(score, number) for score in scores if (number := _number_of(score, theirs)) is not None]

    def place(row: tuple[Score, PublishedScore]) -> tuple[int, float, _Key]:
        apart = abs(row[0].value - row[1].value)
        return SURPRISES.index(_inside(*row)), 0.0 if math.isnan(apart) else -apart, _key(row[0])

    rows.sort(key=place)
    has_rd = any(score.metric == RD.metric for score, _ in rows)
    shown = tuple(
        Row(
            (*_key(score)[:3], score.problem_set, score.perturbation, score.recipe, _seed_text(score)),
            (
                number_cell(replace(score, note=_with_size(score, number)), PASS),
                TableCell.number(100 * number.value, number.percent, number.note),
                number_cell(_beyond(score, number), POINTS),
                *(_behind(score, passing, theirs) if has_rd else ()),
                TableCell.said(_inside(score, number)),
                TableCell.number(number.table, str(number.table)),
            ),
        )
        for score, number in rows
    )
    behind = BEHIND if has_rd else ()
    columns = ("sweep (%)", "printed (%)", "difference (points)", *behind, "inside the interval", "table")
    stub = ("metric", "model", "training set", "problems", "test prompts", "recipe", "seed")
    caption = (
        f"Printed: {source}. Numbers that lie outside of the sweep's 95 % interval come first. Differences are the "
        "sweep's number minus the printed one, with the sweep's interval: how sure printed numbers are is not known."
    )
    if has_rd:
        caption += " Beside an RD are the sweep's perturbed pass@1 and its difference to the printed one."
    caption += f" The sweep is limited: {limit}" if limit else ""
    return Table("Beside printed numbers", caption, stub, tuple(map(Column, columns)), shown)


def _seed_text(score: Score) -> str:
    return count(score.seeds, "seed") if isinstance(score, Number) and score.seeds else str(score.seed)


def _inside(score: Score, printed: PublishedScore) -> str:
    if math.isnan(score.low) or math.isnan(score.high):
        return "–"
    return "yes" if score.low <= printed.value <= score.high else "no"


def _key(score: Score | PublishedScore) -> _Key:
    problem_set = COMPARABLE.get(score.problem_set, score.problem_set)
    return score.metric, score.model, score.training_set, problem_set, score.perturbation


def _number_of(score: Score, printed: Mapping[tuple[_Key, str], PublishedScore]) -> PublishedScore | None:
    """Return the printed number beside a score; one of a study with a single recipe stands beside every recipe."""
    return printed.get((_key(score), score.recipe)) or printed.get((_key(score), ""))


def _place(score: Score) -> _Place:
    return score.model, score.training_set, score.problem_set, score.perturbation, score.recipe, score.seed


def _with_size(score: Score, printed: PublishedScore) -> str:
    theirs = PROBLEMS[printed.problem_set]
    size = f"over {count(score.n, 'problem')}; the printed number is over {theirs}" if score.n != theirs else ""
    return "; ".join(filter(None, (score.note, size)))


def _behind(
    score: Score, passing: Mapping[_Place, Score], printed: Mapping[tuple[_Key, str], PublishedScore]
) -> tuple[TableCell, TableCell]:
    rate = passing.get(_place(score))
    if score.metric != RD.metric or rate is None:
        return TableCell(), TableCell()
    theirs = _number_of(rate, printed)
    return number_cell(rate, PASS), number_cell(_beyond(rate, theirs), POINTS) if theirs else TableCell()


def _compared(pair: ComparedCells) -> list[_Compared]:
    numbers: dict[TestSetName, dict[str, Measurement]] = {}
    for name, measurement in measure_pair(pair.first, pair.second):
        numbers.setdefault(name, {})[measurement.metric] = measurement
    return [
        _Compared(pair.label, pair.alike or pair.label, name, pair.first[name], pair.second[name], measured)
        for name, measured in numbers.items()
    ]


def _with_seeds_notes(compared: Sequence[_Compared]) -> list[_Compared]:
    by_seed: dict[tuple[str, TestSetName, str], list[float]] = {}
    for pair in compared:
        for name in EFFECTS & pair.numbers.keys():
            by_seed.setdefault((pair.alike, pair.test_set, name), []).append(pair.numbers[name].value)
    notes = {key: seeds_note(values) for key, values in by_seed.items()}

    def noted(pair: _Compared, number: Measurement) -> Measurement:
        note = notes.get((pair.alike, pair.test_set, number.metric), "")
        return replace(number, note="; ".join(filter(None, (number.note, note))))

    return [
        replace(pair, numbers={name: noted(pair, number) for name, number in pair.numbers.items()}) for pair in compared
    ]


def _over_seeds(compared: Sequence[_Compared]) -> list[_Compared]:
    groups: dict[tuple[str, TestSetName], list[_Compared]] = {}
    for pair in compared:
        groups.setdefault((pair.alike, pair.test_set), []).append(pair)
    asked = max(map(len, groups.values()), default=0)
    if asked < FEWEST:
        return list(compared)
    pooled = []
    for (alike, test_set), seeds in groups.items():
        if len(seeds) == 1 and seeds[0].label == alike:
            pooled += seeds
            continue
        first, second = ([getattr(pair, side) for pair in seeds] for side in ("first", "second"))
        metrics = dict.fromkeys(name for pair in seeds for name in pair.numbers)
        numbers = {name: [pair.numbers[name] for pair in seeds if name in pair.numbers] for name in metrics}
        shared = SharedVariance.between(second, first) if len(seeds) > 1 else SharedVariance()
        rates = rates_over_seeds(first), rates_over_seeds(second)
        pooled.append(_Compared(alike, alike, test_set, *rates, pool_each(numbers, shared, asked), seeds))
    return pooled


def _pass_table(compared: Sequence[_Compared], first: str, second: str) -> Table:
    rows = []
    raw = [pair.numbers[P_VALUE].value if P_VALUE in pair.numbers else math.nan for pair in compared]
    for pair, *ps in zip(compared, raw, holm(raw), strict=True):
        rates = _shared(pair.first.rates, pair.second.rates)
        changed = [pair.numbers[name].value for name in (GAINED, LOST)]
        cells = (
            *(_mean(column) for column in zip(*rates, strict=True)),
            number_cell(pair.numbers[DIFFERENCE], POINTS),
            *(TableCell.number(value, f"{value:.4g}") for value in changed),
            *(p_cell(p, pair.numbers[P_VALUE].note if P_VALUE in pair.numbers else "") for p in ps),
        )
        rows.append(Row((pair.label, " ".join(pair.test_set)), cells))
    and_seeds = " and seeds" if any(pair.seeds for pair in compared) else ""
    caption = (
        f"Pass@1 on the problems that both have a verdict on; differences are {second} minus {first}, with intervals "
        f"over problems{and_seeds}. Gained, lost: problems that the second solves more often, or less often. "
        f"{TEST_IN_WORDS} Holm: adjusted over this table's tests, a family: where do {first} and {second} differ?"
    )
    columns = [Column(name) for name in (f"{first} (%)", f"{second} (%)", "difference (points)", "gained", "lost")]
    columns += [Column(name) for name in P_HEADINGS]
    return Table(f"pass@1: {first} and {second}", caption, STUB, tuple(columns), tuple(rows))


def _rd_table(compared: Sequence[_Compared], first: str, second: str) -> Table:
    rows = []
    for pair in compared:
        seeds = [(_rd(seed.first, seed), _rd(seed.second, seed)) for seed in pair.seeds or (pair,)]
        both = [rds for rds in seeds if not any(math.isnan(rd.value) for rd in rds)] or seeds
        cells = (
            *(_mean_rd(rds, len(seeds)) for rds in zip(*both, strict=True)),
            *(number_cell(pair.numbers[name], POINTS) for name in (CHANGE, PERTURBED_PART, CLEAN_PART)),
            _mean([after for _, after in _shared(pair.first.rates, pair.second.rates)]),
            number_cell(pair.numbers[DIFFERENCE], POINTS),
        )
        rows.append(Row((pair.label, " ".join(pair.test_set)), cells))
    caption = (
        "RD = (clean − perturbed) / clean pass@1, on the problems with all four verdicts. Its change is the sum of two "
        "parts: one from the perturbed pass@1, and one from the clean pass@1, which is below 0 where that fell. "
        f"Perturbed pass@1 is that of {second}, and its difference to that of {first}, as in the table of pass@1."
    )
    changes = ("change (points)", "from perturbed pass@1", "from clean pass@1")
    columns = (f"{first} (%)", f"{second} (%)", *changes, *BEHIND)
    return Table(f"RD: {first} and {second}", caption, STUB, tuple(map(Column, columns)), tuple(rows))


def _shared(*columns: Mapping[str, float]) -> list[list[float]]:
    return [[column[task] for column in columns] for task in columns[0] if all(task in column for column in columns)]


def _mean(values: Sequence[float]) -> TableCell:
    mean = sum(values) / len(values)
    return TableCell.number(100 * mean, PASS.format(mean), n=len(values))


def _mean_rd(seeds: Sequence[Measurement], asked: int) -> TableCell:
    values = [rd.value for rd in seeds if not math.isnan(rd.value)]
    if not values:
        return number_cell(seeds[0], RD)
    note = fewer_seeds(len(values), asked)
    mean, n = math.fsum(values) / len(values), min(rd.n for rd in seeds)
    return number_cell(Measurement(RD.metric, mean, math.nan, math.nan, n, note), RD)


def _rd(cell: ProblemRates, pair: _Compared) -> Measurement:
    others = (pair.first.clean, pair.first.rates, pair.second.clean, pair.second.rates)
    rows = _shared(cell.clean, cell.rates, *others)
    rd = relative_degradation(*(sum(row[number] for row in rows) for number in (0, 1)))
    return Measurement(RD.metric, rd.value, math.nan, math.nan, len(rows), rd.note)


def _beyond(score: Score, printed: PublishedScore) -> Measurement:
    """Return by how much a score is above a printed number, which is taken as fixed."""
    value, low, high = (number - printed.value for number in (score.value, score.low, score.high))
    return Measurement(DIFFERENCE, value, low, high, score.n, score.note)
