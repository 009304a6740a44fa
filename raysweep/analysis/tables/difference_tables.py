"""Builds the tables of differences: each fine-tuned model beside its baseline, on every test set.

The baseline is the same model fine-tuned on the clean training set, by the same recipe with the same seed; without such
cells it is the base model. A change of RD stands beside the difference of pass@1, and with it the two parts that it
consists of, because RD also improves when the clean score falls (study.md section 7). P values of the difference of
pass@1 stand below it, each with its adjusted one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from raysweep.analysis.comparisons.degradation import CHANGE, CLEAN_PART, PERTURBED_PART
from raysweep.analysis.comparisons.pass_rates import DIFFERENCE, P_VALUES, TESTS_IN_WORDS, p_headings
from raysweep.analysis.tables.quantities import Quantity, number_cell, p_text
from raysweep.analysis.tables.score_book import ScoreBook, ScoreKey
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.records import BASE, CLEAN, Difference
from raysweep.stats.rank_tests import holm

PASS = Quantity(DIFFERENCE, "pass@1", "points", signed=True)
RD = (
    Quantity(CHANGE, "RD", "points", signed=True),
    Quantity(PERTURBED_PART, "RD, from perturbed pass@1", "points", signed=True),
    Quantity(CLEAN_PART, "RD, from clean pass@1", "points", signed=True),
)
IN_WORDS = {BASE: "the base model", CLEAN: "fine-tuning on clean prompts"}
CAPTION = (
    "Each model minus its baseline, on the same problems; the intervals are over problems. Pass@1 is better above 0, "
    "RD below 0. A change of RD is the sum of two parts: one from the perturbed pass@1, and one from the clean pass@1, "
    "which is below 0 where the clean pass@1 fell."
)
Key = tuple[str, str, int, str, str, str, str]  # model, recipe, seed, training set, problem set, perturbation, metric


def difference_tables(differences: Sequence[Difference], book: ScoreBook) -> list[Table]:
    """Return a table for each problem set; none for a sweep in which no model has a baseline.

    Args:
        differences: of all cells, to any baseline.
        book: the sweep's scores, for rows and columns.
    """
    clean = [difference for difference in differences if difference.against != BASE]
    against = CLEAN if clean else BASE
    numbers = {_key(difference): difference for difference in clean or differences}
    problem_sets = [name for name in book.problem_sets if any(key[4] == name for key in numbers)]
    return [_table(numbers, book, problems, against) for problems in problem_sets]


def _table(numbers: Mapping[Key, Difference], book: ScoreBook, problems: str, against: str) -> Table:
    columns = tuple(name for name in book.training_sets if any(key[3:5] == (name, problems) for key in numbers))
    adjusted = _adjusted([difference for key, difference in numbers.items() if key[4] == problems])
    rows = []
    for perturbation in (CLEAN, *book.perturbations):
        for variant in book.variants:
            keys = [ScoreKey(variant, name, problems, perturbation) for name in columns]
            labels = (perturbation, variant.label)
            block = [
                Row((*labels, quantity.heading), tuple(_cell(numbers, book, key, quantity, against) for key in keys))
                for quantity in ((PASS,) if perturbation == CLEAN else (PASS, *RD))
            ]
            block[1:1] = _test_rows(numbers, adjusted, keys, labels)
            rows += [row for row in block if any(cell.state != "empty" for cell in row.cells)]
    return Table(
        title=f"Against {IN_WORDS[against]}, {problems}",
        caption=f"{CAPTION} {TESTS_IN_WORDS}",
        stub=("test prompts", "model", "difference"),
        columns=tuple(map(Column, columns)),
        rows=tuple(rows),
        row_words=book.order.words,
        column_words=book.order.training_words,
    )


def _adjusted(differences: Sequence[Difference]) -> dict[Key, float]:
    """Return the p values of a table's differences after Holm's adjustment, that of each test over all of its own."""
    adjusted: dict[Key, float] = {}
    for metric in P_VALUES:
        tested = [difference for difference in differences if difference.metric == metric]
        adjusted |= zip(map(_key, tested), holm([difference.value for difference in tested]), strict=True)
    return adjusted


def _test_rows(
    numbers: Mapping[Key, Difference], adjusted: Mapping[Key, float], keys: Sequence[ScoreKey], labels: tuple[str, str]
) -> Iterator[Row]:
    """Yield the rows of p values, raw and adjusted, of a model's differences of pass@1 on one test set."""
    for metric, name in P_VALUES.items():
        keys_of_metric = [_number_key(key, metric) for key in keys]
        raw = [numbers[key].value if key in numbers else math.nan for key in keys_of_metric]
        holms = [adjusted.get(key, math.nan) for key in keys_of_metric]
        for heading, values in zip(p_headings(name), (raw, holms), strict=True):
            cells = (TableCell() if math.isnan(p) else TableCell(p_text(p), value=p, state="value") for p in values)
            yield Row((*labels, heading), tuple(cells))


def _cell(
    numbers: Mapping[Key, Difference], book: ScoreBook, key: ScoreKey, quantity: Quantity, against: str
) -> TableCell:
    """Return a number's cell; without a number it says whether the model or its baseline failed or is missing."""
    number = numbers.get(_number_key(key, quantity.metric))
    if number is not None:
        return number_cell(number, quantity)
    if not book.is_asked(key):
        return TableCell()
    baseline = book.order.clean_set(key.training_set) if against == CLEAN else BASE
    for place, whose in ((key, ""), (replace(key, training_set=baseline), "baseline ")):
        if book.failure(place) is not None:
            return TableCell(f"{whose}failed", state="failed")
        if book.is_missing(place):
            return TableCell(f"{whose}missing", state="missing")
    return TableCell()


def _key(difference: Difference) -> Key:
    return (
        difference.model,
        difference.recipe,
        difference.seed,
        difference.training_set,
        difference.problem_set,
        difference.perturbation,
        difference.metric,
    )


def _number_key(key: ScoreKey, metric: str) -> Key:
    variant = key.variant
    return (
        variant.model,
        variant.recipe,
        variant.seed,
        key.training_set,
        key.problem_set,
        key.perturbation,
        metric,
    )
