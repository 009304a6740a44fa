"""Builds the tables of differences: each fine-tuned model beside its baseline, on every test set.

The baseline is the same model fine-tuned on the clean training set, by the same recipe with the same seed; without such
cells it is the base model. A change of RD stands beside the difference of pass@1, and with it the two parts that it
consists of, because RD also improves when the clean score falls (study.md section 7).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from raysweep.analysis.comparisons.degradation import CHANGE, CLEAN_PART, PERTURBED_PART
from raysweep.analysis.comparisons.pass_rates import DIFFERENCE
from raysweep.analysis.quantities import Quantity, number_cell
from raysweep.analysis.score_book import ScoreBook, ScoreKey
from raysweep.analysis.table import Column, Row, Table, TableCell
from raysweep.records import BASE, CLEAN, Difference
from raysweep.stats.stability import FEWEST_DRAWS, noise

PASS = Quantity(DIFFERENCE, "pass@1", "points", signed=True)
RD = (
    Quantity(CHANGE, "RD", "points", signed=True),
    Quantity(PERTURBED_PART, "RD, from perturbed pass@1", "points", signed=True),
    Quantity(CLEAN_PART, "RD, from clean pass@1", "points", signed=True),
)
BELOW_SEEDS = "within noise: the mean over seeds is below 2 SD between them"
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
    against = CLEAN if any(one.against == CLEAN for one in differences) else BASE
    numbers: dict[Key, Difference] = {
        (d.model, d.recipe, d.seed, d.training_set, d.problem_set, d.perturbation, d.metric): d
        for d in _with_noise([d for d in differences if d.against == against])
    }
    problem_sets = [name for name in book.problem_sets if any(key[4] == name for key in numbers)]
    return [_table(numbers, book, problems, against) for problems in problem_sets]


def _with_noise(differences: Sequence[Difference]) -> Iterator[Difference]:
    """Yield differences, with a note where the mean over seeds is within the noise between them."""
    by_seed: dict[Difference, list[Difference]] = {}
    for one in differences:
        by_seed.setdefault(replace(one, seed=0, value=0, low=0, high=0, n=0, note=""), []).append(one)
    for alike in by_seed.values():
        values = [one.value for one in alike if not math.isnan(one.value)]
        is_noise = len(values) >= FEWEST_DRAWS and noise(sum(values) / len(values), values).within_noise
        for one in alike:
            yield replace(one, note="; ".join(filter(None, (one.note, BELOW_SEEDS)))) if is_noise else one


def _table(numbers: Mapping[Key, Difference], book: ScoreBook, problems: str, against: str) -> Table:
    columns = tuple(name for name in book.training_sets if any(key[3:5] == (name, problems) for key in numbers))
    rows = []
    for perturbation in (CLEAN, *book.perturbations):
        for variant in book.variants:
            for quantity in (PASS,) if perturbation == CLEAN else (PASS, *RD):
                keys = [ScoreKey(variant, name, problems, perturbation) for name in columns]
                cells = tuple(_cell(numbers, book, key, quantity, against) for key in keys)
                if any(cell.state != "empty" for cell in cells):
                    rows.append(Row((perturbation, variant.label, quantity.heading), cells))
    return Table(
        title=f"Against {IN_WORDS[against]}, {problems}",
        caption=CAPTION,
        stub=("test prompts", "model", "difference"),
        columns=tuple(map(Column, columns)),
        rows=tuple(rows),
        row_words=book.order.words,
        column_words=book.order.training_words,
    )


def _cell(
    numbers: Mapping[Key, Difference], book: ScoreBook, key: ScoreKey, quantity: Quantity, against: str
) -> TableCell:
    """Return a number's cell; without a number it says whether the model or its baseline failed or is missing."""
    variant = key.variant
    cell = (variant.model, variant.recipe, variant.seed, key.training_set)
    found = numbers.get((*cell, key.problem_set, key.perturbation, quantity.metric))
    if found is not None:
        return number_cell(found, quantity)
    for one, whose in ((key, ""), (replace(key, training_set=against), "baseline ")):
        if book.failure(one) is not None:
            return TableCell(f"{whose}failed", state="failed")
        if book.is_missing(one):
            return TableCell(f"{whose}missing", state="missing")
    return TableCell()
