"""Builds the tables of differences: each fine-tuned model beside its baseline, with p values adjusted by Holm.

Each table has every test set. The baseline is the same model fine-tuned on the clean training set, by the same recipe
with the same seed; without such cells it is the base model. A change of RD stands beside the difference of pass@1, and
with it the two parts that it consists of, because RD also improves when the clean score falls (study.md section 7). The
p of the difference of pass@1 stands below it, with the one that is adjusted for the table's tests. A table is a
question that the study asks: what does a perturbation of the training rows change, what a share of perturbed rows, what
a number of rows?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from raysweep.analysis.comparisons.degradation import CHANGE, CLEAN_PART, PERTURBED_PART
from raysweep.analysis.comparisons.pass_rates import DIFFERENCE, P_HEADINGS, P_VALUE, TEST_IN_WORDS
from raysweep.analysis.tables.frame import Number, ScoreFrame, ScoreKey
from raysweep.analysis.tables.order import Order, RowChoice
from raysweep.analysis.tables.quantities import Quantity, number_cell, p_cell
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.records import BASE, CLEAN
from raysweep.stats.rank_tests import holm
from raysweep.units import count

PASS = Quantity(DIFFERENCE, "pass@1", "points", signed=True)
RD = (
    Quantity(CHANGE, "RD", "points", signed=True),
    Quantity(PERTURBED_PART, "RD, from perturbed pass@1", "points", signed=True),
    Quantity(CLEAN_PART, "RD, from clean pass@1", "points", signed=True),
)
IN_WORDS = {BASE: "the base model", CLEAN: "fine-tuning on clean prompts"}
CAPTION = (
    "Each model minus its baseline, on the same problems; the intervals are over problems{seeds}. Pass@1 is better "
    "above 0, RD below 0. A change of RD is the sum of two parts: one from the perturbed pass@1, and one from the "
    "clean pass@1, which is below 0 where the clean pass@1 fell."
)
QUESTIONS = {
    "perturbation": "what fine-tuning on each perturbation changes (RQ1 of the study)",
    "share of perturbed rows": "what the share of perturbed rows changes (RQ2 of the study)",
    "number of rows": "what the number of rows changes (RQ3 of the study)",
}
"""What training sets differ in, with the question that they answer."""


def difference_tables(frame: ScoreFrame) -> list[Table]:
    """Return a table for each problem set and question; none for a sweep in which no model has a baseline."""
    differences = frame.differences()
    clean = [difference for difference in differences if difference.against != BASE]
    against, compared = (CLEAN, clean) if clean else (BASE, differences)
    there = {(one.training_set, one.problem_set) for one in compared}
    questions = {name: question_of(frame.order, name) for name in frame.training_sets}
    asked = [name for name in QUESTIONS if any(questions.get(training_set) == name for training_set, _ in there)]
    families = [
        _Family(problems, question, columns)
        for problems in frame.problem_sets
        for question in asked
        if (columns := [name for name, asks in questions.items() if asks == question and (name, problems) in there])
    ]
    sizes = Counter(family.problem_set for family in families)
    return [
        _table(compared, frame, replace(family, families=sizes[family.problem_set]), against, several=len(asked) > 1)
        for family in families
    ]


def question_of(order: Order, training_set: str) -> str:
    rows = order.rows.get(training_set, RowChoice())
    of_sizes = {other.ratio for other in order.rows.values() if other.size != 1}
    if rows.size != 1 or (rows.ratio != 1 and rows.ratio in of_sizes):
        return "number of rows"
    return "share of perturbed rows" if rows.ratio != 1 else "perturbation"


@dataclass(frozen=True)
class _Family:
    """The training sets that answer one question on a problem set; their tests are a family for Holm's adjustment.

    `families`: how many questions have tests on the problem set. Adjusted p values are multiplied by it (Bonferroni),
    so that they are sound over all of them together.
    """

    problem_set: str
    question: str
    training_sets: Sequence[str]
    families: int = 1

    def caption(self, tests: int, against: str) -> str:
        if not tests:
            return ""
        question = f"{QUESTIONS[self.question]}, each model against {IN_WORDS[against]} on each test set"
        others = f"; and times {self.families}, the families on these problems" if self.families > 1 else ""
        return (
            f" {TEST_IN_WORDS} Holm: adjusted over this table's {count(tests, 'test')}, a family: {question}{others}."
        )


def _table(compared: Sequence[Number], frame: ScoreFrame, family: _Family, against: str, *, several: bool) -> Table:
    problems, columns = family.problem_set, family.training_sets
    of_family = [one for one in compared if one.problem_set == problems and one.training_set in columns]
    seeds = " and seeds" if any(one.seeds for one in of_family) else ""
    tested = [one for one in of_family if one.metric == P_VALUE]
    raw = {one: one.value for one in tested}
    adjusted = {one: min(1.0, p * family.families) for one, p in zip(raw, holm(list(raw.values())), strict=True)}
    rows = []
    for perturbation in (CLEAN, *frame.perturbations):
        for variant in frame.variants:
            keys = [ScoreKey(variant, name, problems, perturbation) for name in columns]
            labels = (perturbation, variant.label)
            block = [
                Row((*labels, quantity.heading), tuple(_cell(frame, key, quantity, against) for key in keys))
                for quantity in ((PASS,) if perturbation == CLEAN else (PASS, *RD))
            ]
            tests = [_difference(frame, key, P_VALUE, against) for key in keys]
            for place, (heading, ps) in enumerate(zip(P_HEADINGS, (raw, adjusted), strict=True)):
                cells = (TableCell() if one is None else p_cell(ps[one], one.note) for one in tests)
                block.insert(1 + place, Row((*labels, heading), tuple(cells)))
            rows += [row for row in block if any(cell.state != "empty" for cell in row.cells)]
    return Table(
        title=f"Against {IN_WORDS[against]}{f' by {family.question}' if several else ''}, {problems}",
        caption=f"{CAPTION.format(seeds=seeds)}{family.caption(len(adjusted), against)}",
        stub=("test prompts", "model", "difference"),
        columns=tuple(map(Column, columns)),
        rows=tuple(rows),
        row_words=frame.order.words,
        column_words=frame.order.training_words,
        column_kind="training set",
    )


def _difference(frame: ScoreFrame, key: ScoreKey, metric: str, against: str) -> Number | None:
    """Return a cell's difference to its baseline; the clean one of a source may have another name than ``clean``."""
    return frame.score(key, metric, frame.order.clean_set(key.training_set) if against == CLEAN else BASE)


def _cell(frame: ScoreFrame, key: ScoreKey, quantity: Quantity, against: str) -> TableCell:
    if (number := _difference(frame, key, quantity.metric, against)) is not None:
        return number_cell(number, quantity)
    if not frame.is_asked(key):
        return TableCell()
    baseline = frame.order.clean_set(key.training_set) if against == CLEAN else BASE
    for place, whose in ((key, ""), (replace(key, training_set=baseline), "baseline ")):
        if frame.failure(place) is not None:
            return TableCell(f"{whose}failed", state="failed")
        if frame.is_missing(place):
            return TableCell(f"{whose}missing", state="missing")
    return TableCell()
