"""Kind ``side-by-side``: the completions of one task by the model before fine-tuning and after several recipes.

The page shows them in columns, with what differs from the first one marked. They are on the page only: a table or a
figure of whole programs can't be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from raysweep.analysis.exhibits.answers import Answer, ShownAnswer
from raysweep.analysis.exhibits.base import EXHIBITS, Drawn, Evidence, Exhibit, Id, NothingToDraw, SideBySideTask, Text
from raysweep.analysis.exhibits.recipes.finding import TrainedModel, by_recipe
from raysweep.analysis.exhibits.recipes.mended import cell_of
from raysweep.analysis.exhibits.selections import select_training_sets
from raysweep.records import BASE, CLEAN

NO_VERDICT = "no verdict"


@EXHIBITS.register("side-by-side")
class SideBySide(Exhibit):
    """Completions of some tasks in columns, a column for each recipe; for one seed of each model."""

    reads_seeds = True

    has_table: ClassVar[bool] = False
    place: ClassVar[str] = "fault_aware_finetuning/side-by-side"

    id: Id = "fait-side-by-side"
    title: Text = "Completions before fine-tuning, after plain fine-tuning and by FAIT"
    source: str = "FAIT study's figures 4 and 5"
    recipes: Annotated[Sequence[str], Field(min_length=2)] = ("base", "sft", "fait")
    """Recipes in the order of the columns; ``base`` is the model before fine-tuning."""
    training_sets: Annotated[Sequence[str], Field(min_length=1)] = (CLEAN,)
    tasks: Annotated[int, Field(ge=1, le=20)] = 3
    """Most tasks of a model and problem set. First come those that only the last recipe passes, then those that it
    passes and the first doesn't, then other tasks on which the completions differ."""

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        sets = select_training_sets(evidence.frame, self.training_sets).names
        groups: dict[tuple[str, str], list[TrainedModel]] = {}
        for one in by_recipe(evidence.frame, sets, self.recipes):
            group = groups.setdefault((one.variant.model, one.training_set), [])
            if not group or group[0].variant.seed == one.variant.seed:
                group.append(one)
        shown = [
            task
            for models in groups.values()
            for problems in evidence.frame.problem_sets
            for task in self._tasks(evidence, models, problems)
        ]
        if not shown:
            raise NothingToDraw(f"no model has completions of {' and '.join(self.recipes)} that differ")
        return Drawn(side_by_side=tuple(shown))

    def _tasks(self, evidence: Evidence, models: Sequence[TrainedModel], problems: str) -> list[SideBySideTask]:
        name = (problems, CLEAN)
        answers = {
            one.recipe: {answer.task_id: answer for answer in evidence.answers.of(cell_of(evidence, one), name)
                         if answer.sample == 0}
            for one in models
        }  # fmt: skip
        known = [recipe for recipe, of_recipe in answers.items() if of_recipe]
        if len(known) < 2:
            return []
        rows = {
            task: [answers[recipe][task] for recipe in known]
            for task in answers[known[0]]
            if all(task in answers[recipe] for recipe in known)
        }
        differing = {task: row for task, row in rows.items() if len({answer.text for answer in row}) > 1}
        chosen = sorted(differing, key=lambda task: _rank(differing[task]))[: self.tasks]
        prompts, first = evidence.answers.prompts(name), models[0]
        label = " · ".join(
            (first.model, problems, f"trained on {evidence.frame.order.training_label(first.training_set)}")
        )
        return [
            SideBySideTask(self.titled(evidence.frame), label, task, prompts.get(task, ""), _columns(known, rows[task]))
            for task in chosen
        ]


def _rank(row: Sequence[Answer]) -> int:
    """Return a task's place: 0 where only the last completion passes, 1 where the first fails and the last passes."""
    *others, last = (answer.passed for answer in row)
    if last and not any(others):
        return 0
    return 1 if last and not others[0] else 2


def _columns(recipes: Sequence[str], row: Sequence[Answer]) -> tuple[ShownAnswer, ...]:
    return tuple(
        ShownAnswer(
            "before fine-tuning" if recipe == BASE else recipe,
            answer.passed,
            NO_VERDICT if answer.passed is None else answer.outcome.replace("_", " "),
            answer.text,
        )
        for recipe, answer in zip(recipes, row, strict=True)
    )
