"""The table of contents: what happens to one cell, in order, and to the inputs that cells share.

    training set -> fine-tuned model -> completions -> results        (analysis: `raysweep.sweep`)

Each function makes one artefact from others and commits it to the store; what exists already is left alone, and what
another process makes at this moment is waited for. How and where the work runs is the engine's business
(`raysweep.engine.base.Stages`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from raysweep.attempts import Recovery, with_retries
from raysweep.engine.base import Stages
from raysweep.evaluation_stage import evaluate
from raysweep.plans import BasePlan, CellPlan, ReferenceTimesPlan, Shared, reads
from raysweep.problems.base import PROBLEMS
from raysweep.progress import ProgressFile
from raysweep.records import PromptRow
from raysweep.reference_times import make_reference_times
from raysweep.set_plans import LeakagePlan, PerturbedRowsPlan, SourceRowsPlan, TestSetPlan, TrainingSetPlan
from raysweep.stage_inputs import passing
from raysweep.storage.artefacts import Artefact
from raysweep.storage.files import Files
from raysweep.storage.holders import Holder
from raysweep.storage.store import Store
from raysweep.tables import ROWS, write_rows
from raysweep.training_set_stage import make_leakage, make_perturbed_rows, make_source_rows, make_training_set
from raysweep.training_stage import fine_tune, pretrain


@dataclass(frozen=True)
class Context:
    """What all stages of one sweep share and no key depends on."""

    storage: str
    sweep: str
    checkpoint_every: int
    recovery: Recovery

    @property
    def store(self) -> Store:
        """The store, opened in this process."""
        return Store(self.storage, expected=True)

    @property
    def progress(self) -> Files:
        """The folder of progress files."""
        return self.store.progress(self.sweep)


# ------------------------------------------------------------------------------------- inputs that cells share


def make_shared(plan: Shared, context: Context, stages: Stages) -> None:
    """Make an input that cells share, unless it exists; several attempts where one fails."""
    store, progress = context.store, ProgressFile(context.progress, shared_id(plan))
    with progress.running("making"):
        with_retries(lambda: ensure(plan, store, context, stages, progress), progress, context.recovery)


def make_perturbed(plans: Sequence[PerturbedRowsPlan], context: Context, stages: Stages) -> None:
    """Perturb the rows of one source by several methods in one go, unless their texts exist."""
    store, progress = context.store, ProgressFile(context.progress, shared_id(plans[0]))
    with progress.running("making"):
        with_retries(lambda: _perturb(plans, store, stages, progress), progress, context.recovery)


def _perturb(plans: Sequence[PerturbedRowsPlan], store: Store, stages: Stages, progress: ProgressFile) -> None:
    in_order = sorted(plans, key=lambda plan: plan.node.key)  # so that no two processes wait for each other
    with ExitStack() as held:
        missing = []
        for plan in in_order:
            discard_if_damaged(plan.node, store, progress)
            is_missing = held.enter_context(
                store.making(plan.node, functools.partial(store.has, plan.node), waits_in(progress))
            )
            missing += [plan] if is_missing else []
        if missing:
            make_perturbed_rows(missing, store, stages, progress)


def ensure(plan: Shared, store: Store, context: Context, stages: Stages, progress: ProgressFile) -> None:
    """Make a shared input, unless it exists or is made by another process."""
    node = plan.node
    assert node is not None
    discard_if_damaged(node, store, progress)
    with store.making(node, lambda: store.has(node), waits_in(progress)) as missing:
        if not missing:
            return
        for item in reads(plan):
            ensure(item, store, context, stages, progress)
        match plan:
            case SourceRowsPlan():
                make_source_rows(plan, store)
            case LeakagePlan():
                make_leakage(plan, store)
            case PerturbedRowsPlan():
                make_perturbed_rows([plan], store, stages, progress)
            case TrainingSetPlan():
                make_training_set(plan, store, progress)
            case TestSetPlan():
                make_test_set(plan, store)
            case ReferenceTimesPlan():
                make_reference_times(plan, store, stages, progress)
            case BasePlan():
                pretrain(plan, store, context.checkpoint_every, stages, progress)


def shared_id(plan: Shared) -> str:
    """Return the id under which a shared input's progress is told; texts of one source's rows are made together."""
    assert plan.node is not None
    if isinstance(plan, PerturbedRowsPlan):
        return f"perturbed-{shared_id(plan.rows)}"
    label = "".join(char if char.isalnum() or char in ".@%" else "-" for char in plan.node.label)
    return f"{label}-{plan.node.key[:8]}"


def make_test_set(plan: TestSetPlan, store: Store) -> None:
    """Perturb a problem set's prompts into a test set."""
    from raysweep.problems.test_sets import build_test_set

    problems = PROBLEMS.create(plan.problem_set)
    rows = build_test_set(
        problems, plan.perturbation, seed=plan.seed, draw=plan.draw, compat=plan.compat, limit=plan.limit
    )
    with store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, PromptRow, rows, ["task_id"])
        unchanged, broken = sum(not row.changed for row in rows), sum(not row.compiles for row in rows)
        draft.counts = {"rows": len(rows), "rows_unchanged": unchanged, "rows_not_compiling": broken}


# ---------------------------------------------------------------------------------------------------- one cell


def make_cell(plan: CellPlan, context: Context, stages: Stages) -> dict[str, float]:
    """Fine-tune, generate, execute, whatever of it is missing; return pass@1 by test set, for Tune's results."""
    store, progress = context.store, ProgressFile(context.progress, plan.cell.id)
    with progress.running("starting"):
        with_retries(lambda: _make_cell(plan, store, context, stages, progress), progress, context.recovery)
        passed = {f"pass@1 {pair.test_set.node.label}": passing(pair, store) for pair in plan.pairs}
    if plan.model is not None:
        store.forget(plan.model)
    return passed


def _make_cell(plan: CellPlan, store: Store, context: Context, stages: Stages, progress: ProgressFile) -> None:
    for node in plan.nodes():
        discard_if_damaged(node, store, progress)
    for item in plan.inputs(store):  # made before the first cell: here only what was damaged or lost since
        ensure(item, store, context, stages, progress)
    if plan.model is not None:
        model = plan.model
        with store.making(model, lambda: store.has(model), waits_in(progress)) as missing:
            if missing:
                fine_tune(plan, store, context.checkpoint_every, stages, progress)
    unit = plan.evaluation

    def judged() -> bool:
        return all(store.has(pair.completions) and pair.is_judged(store) for pair in plan.pairs)

    with store.making(unit, judged, waits_in(progress)) as missing:
        if missing:
            evaluate(plan, store, stages, progress)


# ----------------------------------------------------------------------------------------------------- helpers


def discard_if_damaged(node: Artefact, store: Store, progress: ProgressFile) -> None:
    """Remove a damaged artefact and say so."""
    wrong = store.discard_if_damaged(node)
    if wrong:
        progress.note(damage_text(node, wrong))


def damage_text(node: Artefact, wrong: str) -> str:
    """Say that an artefact was damaged, and how."""
    return f"{node.stage.replace('_', ' ')} {node.label} was damaged ({wrong}): it is made again"


def waits_in(progress: ProgressFile) -> Callable[[Holder | None], None]:
    """Return a function that tells in a progress file whose work is waited for."""

    def tell(holder: Holder | None) -> None:
        if holder is not None:
            progress.wait_for(f"another sweep to make it: {holder}")
        else:
            progress.update("starting", force=True)

    return tell
