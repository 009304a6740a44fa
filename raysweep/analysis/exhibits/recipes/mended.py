"""Kind ``mended``: how many tasks training mends, or a model fails, within one block of lines.

The study of FAIT asks which of the tasks that training mended were mended in an "error-sensitive segment", and judged
that by hand; a rule is not printed. The rule here: the failing and the passing completion differ in one block of a
difference by lines at most. Of a model's own failures the other text is its nearest passing further sample, and where
it has none the reference solution.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import override

from raysweep.analysis.comparisons.estimate import defined, pool
from raysweep.analysis.exhibits.answers import Answer
from raysweep.analysis.exhibits.base import COMPARISONS, EXHIBITS, Drawn, Evidence, Exhibit, Group, NothingToDraw
from raysweep.analysis.exhibits.recipes.finding import TrainedModel, by_recipe
from raysweep.analysis.exhibits.selections import select_training_sets
from raysweep.analysis.tables.quantities import Quantity, number_cell
from raysweep.analysis.tables.records import seeds_cell
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.metrics.base import CellLabels, Measurement
from raysweep.records import BASE, CLEAN, NOT_TUNED
from raysweep.stats.intervals import interval_note, mean_interval
from raysweep.units import decimal

SHARE = Quantity("share", "share")
MENDED = "Tasks whose first completion fails before fine-tuning and passes after it."
FAILED = (
    "Tasks that a model fails in its first completion, beside the nearest text that passes: another of its samples, "
    "else the reference solution."
)
RULE = (
    "One block at most: the lines of both texts differ in one place, blank lines and spaces at ends of lines aside. "
    "Two texts without a common line are one block, too."
)


@dataclass(frozen=True)
class TextPair:
    """A failing text and a passing one of the same task. `own`: whether a model wrote the passing one."""

    task_id: str
    failing: str
    passing: str
    own: bool = True


def blocks(first: str, second: str) -> int:
    """Return in how many blocks of lines two texts differ, blank lines and spaces at ends of lines aside."""
    before, after = ([line.rstrip() for line in text.splitlines() if line.strip()] for text in (first, second))
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return sum(tag != "equal" for tag, *_ in matcher.get_opcodes())


def mended_tasks(before: Sequence[Answer], after: Sequence[Answer]) -> list[TextPair]:
    """Return the tasks whose first completion fails before and passes after a training."""
    first = {answer.task_id: answer for answer in after if answer.sample == 0}
    return [
        TextPair(answer.task_id, answer.text, first[answer.task_id].text)
        for answer in before
        if answer.sample == 0 and answer.passed is False and answer.task_id in first and first[answer.task_id].passed
    ]


def failed_tasks(
    answers: Sequence[Answer], references: Mapping[str, str], prompts: Mapping[str, str]
) -> list[TextPair]:
    """Return the tasks whose first completion fails, each beside the nearest passing text.

    Args:
        answers: a model's, several of a task where it drew several.
        references: reference solutions by task id, as completions of the prompts.
        prompts: by task id; they stand before a reference whose task was answered by a whole program.
    """
    passing: dict[str, list[str]] = {}
    for answer in answers:
        if answer.passed:
            passing.setdefault(answer.task_id, []).append(answer.text)
    pairs = []
    for answer in (one for one in answers if one.sample == 0 and one.passed is False):
        own = passing.get(answer.task_id, [])
        if own:

            def apart(text: str, failing: str = answer.text) -> tuple[int, float, str]:
                likeness = difflib.SequenceMatcher(None, failing, text, autojunk=False).ratio()
                return blocks(failing, text), -likeness, text

            nearest = min(own, key=apart)
            pairs.append(TextPair(answer.task_id, answer.text, nearest))
        elif (reference := references.get(answer.task_id)) is not None:
            head = prompts.get(answer.task_id, "") if answer.is_program else ""
            pairs.append(TextPair(answer.task_id, answer.text, head + reference, own=False))
    return pairs


@EXHIBITS.register("mended")
class Mended(Exhibit):
    """A table, for each problem set, of mended or failed tasks and of those within one block."""

    reads_seeds = True

    group: Group = COMPARISONS

    of: Literal["mended", "failed"]
    """Tasks that a training mended, or that a model fails."""
    recipes: Annotated[Sequence[str], Field(min_length=1)]
    """Recipes in the order of the rows; ``base`` only has failed tasks."""
    training_sets: Annotated[Sequence[str], Field(min_length=1)] = (CLEAN,)
    blocks: Annotated[int, Field(ge=1)] = 1
    """Most blocks that count."""

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        sets = select_training_sets(evidence.frame, self.training_sets).names
        models = by_recipe(evidence.frame, sets, self.recipes, untuned=self.of == "failed")
        shown = [one for one in models if one.trained_on != BASE] if self.of == "mended" else _bases_once(models)
        several = len({one.training_set for one in shown if one.training_set != BASE}) > 1
        rows_of = _with_all_seeds(shown) if evidence.pools_seeds else {one: [one] for one in shown}
        asked = max(map(len, rows_of.values()), default=1)
        tables = []
        for problems in evidence.frame.problem_sets:
            of_rows = {
                one: [pairs for seed in seeds if (pairs := self.pairs(evidence, seed, problems)) is not None]
                for one, seeds in rows_of.items()
            }
            if any(any(pairs) for pairs in of_rows.values()):
                rows = tuple(
                    self._row(one, pairs, 1 if one.trained_on == BASE else asked, several=several)
                    for one, pairs in of_rows.items()
                    if pairs
                )
                tables.append(self._table(evidence, problems, rows, several=several))
        if not tables:
            raise NothingToDraw(f"no task is {self.of} by a model of {', '.join(self.recipes)}")
        return Drawn(tuple(tables))

    def pairs(self, evidence: Evidence, one: TrainedModel, problems: str) -> list[TextPair] | None:
        """Return the tasks of a problem set that a model mended or fails; None if it has no verdicts there."""
        name = (problems, CLEAN)
        after = evidence.answers.of(cell_of(evidence, one), name)
        if not after:
            return None
        if self.of == "failed":
            return failed_tasks(after, evidence.answers.references(problems), evidence.answers.prompts(name))
        before = evidence.answers.of(base_cell(evidence, one), name)
        return mended_tasks(before, after) if before else None

    def _row(self, one: TrainedModel, seeds: Sequence[Sequence[TextPair]], asked: int, *, several: bool) -> Row:
        """`asked`: the number of seeds that there should be; 1: the numbers are no means over seeds."""
        near = [self._near(pairs) for pairs in seeds]
        counts: list[list[float]] = [[len(of_seed) for of_seed in near], [sum(of_seed) for of_seed in near]]
        if self.of == "failed":
            counts.append([sum(not pair.own for pair in pairs) for pairs in seeds])
        cells = [
            TableCell.number(of[0], f"{of[0]:,.0f}") if asked == 1 else seeds_cell(of, decimal, asked) for of in counts
        ]
        share = number_cell(self.share(seeds, asked), SHARE)
        return Row((*([one.training_set] if several else []), one.model, one.recipe), (*cells[:2], share, *cells[2:]))

    def share(self, seeds: Sequence[Sequence[TextPair]], asked: int) -> Measurement:
        """Return the share of tasks within so many blocks, of several seeds the mean. `asked`: see `_row`."""
        shares = []
        for near in map(self._near, seeds):
            low, high = mean_interval(near)
            note = interval_note(len(near)) if near else f"no task is {self.of}"
            value = fmean(near) if near else float("nan")
            shares.append(Measurement(SHARE.metric, value, low, high, len(near), note))
        return shares[0] if asked == 1 else pool(defined(shares), asked=asked)

    def _near(self, pairs: Sequence[TextPair]) -> list[float]:
        return [float(blocks(pair.failing, pair.passing) <= self.blocks) for pair in pairs]

    def _table(self, evidence: Evidence, problems: str, rows: tuple[Row, ...], *, several: bool) -> Table:
        within = "within one block (tasks)" if self.blocks == 1 else f"within {self.blocks} blocks (tasks)"
        names = [f"{self.of} (tasks)", within, "share (%)"]
        names += ["beside the reference (tasks)"] if self.of == "failed" else []
        return Table(
            title=self.titled(evidence.frame, problems),
            caption=self.captioned(MENDED if self.of == "mended" else FAILED, RULE),
            stub=(*(["training set"] if several else []), "model", "recipe"),
            columns=tuple(map(Column, names)),
            rows=rows,
            row_words=evidence.frame.order.training_words,
            label=f"{self.id}-{problems}",
            problem_set=problems,
        )


def _with_all_seeds(models: Sequence[TrainedModel]) -> dict[TrainedModel, list[TrainedModel]]:
    rows: dict[tuple[str, ...], list[TrainedModel]] = {}
    for one in models:
        rows.setdefault((one.variant.model, one.training_set, one.recipe), []).append(one)
    return {replace(seeds[0], model=seeds[0].variant.model): seeds for seeds in rows.values()}


def _bases_once(models: Sequence[TrainedModel]) -> list[TrainedModel]:
    once: dict[object, TrainedModel] = {}
    for one in models:
        base = replace(one, model=one.variant.model, training_set=BASE)
        is_base = one.trained_on == BASE
        once.setdefault((BASE, one.variant.model) if is_base else one, base if is_base else one)
    return list(once.values())


def cell_of(evidence: Evidence, one: TrainedModel) -> CellLabels:
    """Return the labels of a model's cell; those of a base model are its own, whatever the seed of a training."""
    if one.trained_on != BASE:
        return CellLabels(one.variant.model, one.variant.recipe, one.trained_on, one.variant.seed)
    return base_cell(evidence, one)


def base_cell(evidence: Evidence, one: TrainedModel) -> CellLabels:
    own = (CellLabels(*c) for c in evidence.frame.cells() if (c[0], c[2]) == (one.variant.model, BASE))
    return next(own, CellLabels(one.variant.model, NOT_TUNED, BASE, one.variant.seed))
