"""The table of contents: what happens to one cell, in order, and to the inputs that cells share.

    training set -> fine-tuned model -> completions -> results        (analysis: `raysweep.sweep`)

Each function makes one artefact from others and commits it to the store; what exists already is left alone. How and
where the work runs is the engine's business (`raysweep.engine.base.Stages`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep.engine.base import GenerateJob, Stages
from raysweep.errors import RaysweepError
from raysweep.plans import BasePlan, CellPlan, PairPlan, Shared, TestSetPlan, TrainingSetPlan
from raysweep.problems.base import PROBLEMS
from raysweep.progress import ProgressFile
from raysweep.records import (
    Completion,
    Limits,
    ModelRef,
    Outcome,
    Program,
    PromptRow,
    Result,
    TrainingRow,
)
from raysweep.stage_inputs import base_ref, model_ref, passing, problems_of, requests_of, result_of, same_text
from raysweep.store import Node, Store
from raysweep.tables import ROWS, read_rows, write_rows
from raysweep.trainers.base import TrainJob
from raysweep.training_sets.base import SOURCES


@dataclass(frozen=True)
class Context:
    """What all stages of one sweep share and no key depends on."""

    storage: str
    progress: Path  # folder of progress files
    checkpoint_every: int

    @property
    def store(self) -> Store:
        """The store, opened in this process."""
        return Store(self.storage)


# ------------------------------------------------------------------------------------- inputs that cells share


def make_shared(plan: Shared, context: Context, stages: Stages) -> None:
    """Make a training set, a test set or a base model, unless it exists."""
    assert plan.node is not None
    store = context.store
    store.discard_if_damaged(plan.node)
    if store.has(plan.node):
        return
    with ProgressFile(context.progress, shared_id(plan)).running("making") as progress:
        match plan:
            case TrainingSetPlan():
                make_training_set(plan, store)
            case TestSetPlan():
                make_test_set(plan, store)
            case BasePlan():
                pretrain(plan, context, stages, progress)


def shared_id(plan: Shared) -> str:
    """Return the id under which a shared input's progress is told."""
    assert plan.node is not None
    label = "".join(char if char.isalnum() or char in ".@%" else "-" for char in plan.node.label)
    return f"{label}-{plan.node.key[:8]}"


def make_training_set(plan: TrainingSetPlan, store: Store) -> None:
    """Perturb a source's rows into a training set."""
    from raysweep.training_sets.build import build_training_set

    rows = build_training_set(
        SOURCES.create(plan.source), plan.perturbation, ratio=plan.ratio, draw=plan.draw, seed=plan.seed
    )
    with store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, TrainingRow, rows, ["row_id"])
        draft.counts = {"rows": len(rows), "perturbed": sum(row.perturbed for row in rows)}


def make_test_set(plan: TestSetPlan, store: Store) -> None:
    """Perturb a problem set's prompts into a test set."""
    from raysweep.problems.test_sets import build_test_set

    problems = PROBLEMS.create(plan.problem_set)
    rows = build_test_set(problems, plan.perturbation, seed=plan.seed, compat=plan.compat, limit=plan.limit)
    with store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, PromptRow, rows, ["task_id"])
        unchanged, broken = sum(not row.changed for row in rows), sum(not row.compiles for row in rows)
        draft.counts = {"rows": len(rows), "rows_unchanged": unchanged, "rows_not_compiling": broken}


def pretrain(plan: BasePlan, context: Context, stages: Stages, progress: ProgressFile) -> None:
    """Train a base model from scratch: tokenizer and config first, then the weights."""
    from raysweep.models.scratch import prepare_scratch

    assert plan.node is not None and plan.training_set is not None and plan.recipe is not None
    store = context.store
    rows_file = store.folder(plan.training_set.node) / ROWS
    start = store.work_folder(plan.node) / "start"
    texts = (row.instruction + row.output for row in read_rows(rows_file, TrainingRow))
    start.mkdir(parents=True, exist_ok=True)
    prepare_scratch(plan.family, texts, plan.vocab_size, dict(plan.size), start)
    job = TrainJob(
        base=ModelRef(str(start)),
        family=plan.family,
        recipe=plan.recipe,
        training_set=rows_file,
        out=start,
        seed=plan.training_set.seed,
        label=plan.node.label,
        checkpoint_every=context.checkpoint_every,
        scratch=True,
    )
    train(job, plan.node, store, stages, progress)


# ---------------------------------------------------------------------------------------------------- one cell


def make_cell(plan: CellPlan, context: Context, stages: Stages) -> dict[str, float]:
    """Fine-tune, generate, execute, whatever of it is missing; return pass@1 by test set, for Tune's results."""
    store = context.store
    for node in plan.nodes():
        store.discard_if_damaged(node)
    with ProgressFile(context.progress, plan.cell.id).running("starting") as progress:
        if plan.model is not None and not store.has(plan.model):
            fine_tune(plan, context, stages, progress)
        generate(plan, context, stages, progress)
        execute(plan, store, stages, progress)
    return {f"pass@1 {pair.test_set.node.label}": passing(pair, store) for pair in plan.pairs}


def fine_tune(plan: CellPlan, context: Context, stages: Stages, progress: ProgressFile) -> None:
    """Fine-tune the cell's base model on its training set."""
    assert plan.model is not None and plan.training_set is not None and plan.recipe is not None
    store = context.store
    base = base_ref(plan.base, store)
    assert base is not None
    job = TrainJob(
        base=base,
        family=plan.base.family,
        recipe=plan.recipe,
        training_set=store.folder(plan.training_set.node) / ROWS,
        out=store.folder(plan.model),
        seed=plan.cell.seed,
        label=plan.cell.id,
        checkpoint_every=context.checkpoint_every,
    )
    train(job, plan.model, store, stages, progress)


def generate(plan: CellPlan, context: Context, stages: Stages, progress: ProgressFile) -> None:
    """Complete the prompts of all the cell's test sets in one go; equal prompts are completed once."""
    store = context.store
    missing = [pair for pair in plan.pairs if not store.has(pair.completions)]
    if not missing:
        return
    asked = [(pair, requests_of(plan, pair, store)) for pair in missing]
    once = {same_text(plan, request): request for _, requests in asked for request in requests}
    longest_first = sorted(once.values(), key=lambda request: (-len(request.prompt), request.request_id))
    job = GenerateJob(model_ref(plan, store), plan.generator, plan.decoding, longest_first, plan.batch_size)

    def tell(done: int, total: int, detail: str) -> None:
        progress.update("generating", done, total, detail)

    made = {
        same_text(plan, request): completion
        for request, completion in zip(longest_first, stages.generate(job, tell), strict=True)
    }
    for pair, requests in asked:
        rows = [
            dataclasses.replace(made[same_text(plan, request)], task_id=request.task_id, draw=request.draw)
            for request in requests
        ]
        with store.writing(pair.completions) as draft:
            write_rows(draft.folder / ROWS, Completion, rows, ["task_id", "draw"])
            draft.counts = {"rows": len(rows), "distinct_prompts_of_cell": len(once), "batch_size": plan.batch_size}


def execute(plan: CellPlan, store: Store, stages: Stages, progress: ProgressFile) -> None:
    """Run the tests on all completions without verdicts; equal programs run once."""
    missing = [pair for pair in plan.pairs if not store.has(pair.results)]
    for limits in dict.fromkeys(pair.limits for pair in missing):
        _execute_under([pair for pair in missing if pair.limits == limits], limits, store, stages, progress)


def _execute_under(
    pairs: Sequence[PairPlan], limits: Limits, store: Store, stages: Stages, progress: ProgressFile
) -> None:
    def tell(done: int, total: int, detail: str) -> None:
        progress.update("executing", done, total, detail)

    programs: dict[str, Program] = {}
    wanted: list[tuple[PairPlan, list[tuple[Completion, str]]]] = []
    for pair in pairs:
        problems = problems_of(pair)
        wanted.append((pair, []))
        for completion in read_rows(store.folder(pair.completions) / ROWS, Completion):
            program = problems[completion.task_id].assemble(completion.text)
            sha = program.sha
            programs[sha] = program
            wanted[-1][1].append((completion, sha))
    verdicts = dict(zip(programs, stages.execute(list(programs.values()), limits, tell), strict=True))
    unjudged = [verdict.detail for verdict in verdicts.values() if verdict.outcome is Outcome.HARNESS_ERROR]
    if unjudged:
        raise RaysweepError(f"{len(unjudged)} programs could not be judged: {unjudged[0]}; run the command again")
    for pair, completions in wanted:
        rows = [result_of(completion, verdicts[sha], sha) for completion, sha in completions]
        with store.writing(pair.results) as draft:
            write_rows(draft.folder / ROWS, Result, rows, ["task_id", "draw"])
            draft.counts = {"rows": len(rows), "distinct_programs_of_cell": len(programs)}


# ----------------------------------------------------------------------------------------------------- helpers


def train(job: TrainJob, node: Node, store: Store, stages: Stages, progress: ProgressFile) -> None:
    """Train a model artefact, with checkpoints in its work folder."""

    def tell(done: int, total: int, detail: str) -> None:
        progress.update("training", done, total, detail)

    with store.writing(node) as draft:
        draft.counts = stages.train(dataclasses.replace(job, out=draft.folder), store.work_folder(node), tell)
