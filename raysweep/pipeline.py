"""START HERE: what happens to one cell, stage by stage, and to the artefacts that cells share.

    training set -> fine-tuned model -> completions -> results        (analysis: `raysweep.sweep.report.write`)

When all cells are done, a linter reads a sample of their completions, if the config asks for it.

`MAKERS` maps each class of plan to the stage function that makes its artefact and commits it to the store. Existing
artefacts are used as they are. If another process is making an artefact, this one waits for it. The engine decides how
and where the work runs (`raysweep.engine.base.Stages`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from raysweep.engine.attempts import with_retries
from raysweep.engine.base import Context, Stages, Work
from raysweep.engine.progress import ProgressFile
from raysweep.planning.missing import missing
from raysweep.planning.plan import (
    ArtefactPlan,
    BasePlan,
    BrokenSetPlan,
    CellPlan,
    CompletionsPlan,
    EncodedPairsPlan,
    LeakagePlan,
    ModelPlan,
    PerturbedRowsPlan,
    PromptPairPlan,
    QualityPlan,
    ReferencesPlan,
    RejectedRowsPlan,
    ResultsPlan,
    RewrittenSetPlan,
    RewrittenTextsPlan,
    SelectionPlan,
    SourceRowsPlan,
    TeacherAnswersPlan,
    TestSetPlan,
    TrainingSetPlan,
)
from raysweep.stages.asking import make_rewritten_set, make_rewritten_texts, make_teacher_answers
from raysweep.stages.generation import generate
from raysweep.stages.judging import judge
from raysweep.stages.making import groups, leased
from raysweep.stages.preference_pairs import make_encoded_pairs, make_rejected_rows
from raysweep.stages.prompt_pairs import find_prompt_pair, make_broken_set
from raysweep.stages.quality import lint_completions
from raysweep.stages.references import make_references
from raysweep.stages.scoring import cell_numbers
from raysweep.stages.selection import choose_model
from raysweep.stages.test_sets import make_test_set
from raysweep.stages.training import make_model, pretrain
from raysweep.stages.training_sets import make_leakage, make_perturbed_rows, make_source_rows, make_training_set
from raysweep.storage.store import Store
from raysweep.storage.uses import drop_judged

Maker = Callable[[Sequence[Any], Work], None]
"""Makes the artefacts of plans of one class that share a task."""


def one_by_one(make_one: Callable[[Any, Work], None]) -> Maker:
    def make_all(plans: Sequence[Any], work: Work) -> None:
        for plan in plans:
            make_one(plan, work)

    return make_all


MAKERS: dict[type[ArtefactPlan], Maker] = {
    SourceRowsPlan: one_by_one(make_source_rows),
    LeakagePlan: one_by_one(make_leakage),
    PerturbedRowsPlan: make_perturbed_rows,  # several methods read each row once
    TeacherAnswersPlan: one_by_one(make_teacher_answers),
    RejectedRowsPlan: one_by_one(make_rejected_rows),
    TrainingSetPlan: one_by_one(make_training_set),
    TestSetPlan: one_by_one(make_test_set),
    ReferencesPlan: one_by_one(make_references),
    BasePlan: one_by_one(pretrain),
    EncodedPairsPlan: one_by_one(make_encoded_pairs),
    RewrittenTextsPlan: one_by_one(make_rewritten_texts),
    RewrittenSetPlan: one_by_one(make_rewritten_set),
    PromptPairPlan: one_by_one(find_prompt_pair),
    BrokenSetPlan: one_by_one(make_broken_set),
    SelectionPlan: one_by_one(choose_model),
    ModelPlan: one_by_one(make_model),
    CompletionsPlan: generate,  # equal prompts of a cell's test sets are completed once
    ResultsPlan: judge,  # equal programs of a cell are run once
    QualityPlan: lint_completions,  # one process lints the files of many cells
}


def make_shared(plans: Sequence[ArtefactPlan], context: Context, stages: Stages) -> Mapping[str, float]:
    """Make the missing artefacts of a task that cells share; retry after failures."""
    with _running(plans, "making", context, stages):
        return {}


def make_cell(cell: CellPlan, context: Context, stages: Stages) -> Mapping[str, float]:
    """Make a cell's missing model, completions and results; return its numbers, for Tune's results.

    The files of its model, and of those that weren't chosen in its place, are dropped then if the sweep doesn't keep
    them (`keep_models`) and no other sweep needs them.
    """
    with _running(cell.to_make, "starting", context, stages) as store:
        numbers = cell_numbers(cell, store)
    for one in (cell, *(cell.selection.candidates if cell.selection else ())):
        if one.model is not None:
            store.forget(one.model)
    if passing := cell.passing_models:
        drop_judged(passing, store)
    return numbers


@contextmanager
def _running(plans: Sequence[ArtefactPlan], first_stage: str, context: Context, stages: Stages) -> Iterator[Store]:
    progress, store = ProgressFile(context.progress, plans[0].task), context.store
    with progress.running(first_stage):
        with_retries(lambda: make(plans, Work(store, stages, progress, context)), progress, context.recovery)
        yield store


def make(plans: Sequence[ArtefactPlan], work: Work) -> None:
    """Make the missing artefacts of the plans and of their dependencies, dependencies first.

    Earlier tasks have made the dependencies already; they are made again here only if they were damaged or lost since.
    Where a model is chosen anew, what another one has written is made after that.
    """
    lacking = missing(plans, work.store)
    _make(lacking, plans, work)
    if any(isinstance(plan, SelectionPlan) for plan in lacking):
        _make(missing(plans, work.store), plans, work)


def _make(lacking: Sequence[ArtefactPlan], plans: Sequence[ArtefactPlan], work: Work) -> None:
    for group in groups(lacking):
        with leased(group, plans, work) as mine:
            for kind, same in groupby(mine, key=type):
                MAKERS[kind](list(same), work)
