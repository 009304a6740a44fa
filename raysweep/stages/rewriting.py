"""Has a base model rewrite the prompts of a test set (Self-Denoising), in the batches and blocks of an evaluation."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from raysweep.engine.base import GenerateJob, Work
from raysweep.engine.completing import completions_of, distinct_requests
from raysweep.planning.plan import RewrittenSetPlan, RewrittenTextsPlan
from raysweep.problems.base import PROBLEMS
from raysweep.prompts.rewriting import DECODING, Rewriting, rewriting
from raysweep.prompts.templates import CHAT, PromptTemplate
from raysweep.records import Completion, PromptRow
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages.generation import complete_in_blocks, counts_of
from raysweep.stages.inputs import base_ref, with_tokenizer
from raysweep.stages.test_sets import still_compiles
from raysweep.storage.blocks import Blocks
from raysweep.storage.completions import CompletionPool
from raysweep.storage.store import Store


def make_rewritten_texts(plan: RewrittenTextsPlan, work: Work) -> None:
    """Write a model's answers about the prompts of a test set."""
    store = work.store
    template = PromptTemplate(plan.template, plan.system)
    if template.needs_tokenizer:
        template = with_tokenizer(template, plan.base, store)
    stop = (*plan.stop, template.end) if template.name == CHAT else plan.stop
    asked = [one.request(template, stop) for one in _rewritings(plan, store)]
    requests = [request for request in asked if request is not None]
    distinct = distinct_requests(requests, DECODING, plan.generator)
    pool = CompletionPool(store, plan.pool)
    blocks = Blocks(store.unfinished(plan.node).below("completions"), Completion)
    job = complete_in_blocks(_job(plan, work), distinct, blocks, pool, work)
    rows = completions_of(requests, job.rows, DECODING, plan.generator)
    pool.add(plan.node)  # before the artefact is there: one that is never noted would be generated again
    with store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, Completion, rows, ["task_id", "sample"])
        draft.counts = counts_of(rows, job)


def make_rewritten_set(plan: RewrittenSetPlan, work: Work) -> None:
    """Write the prompts of a test set with those descriptions rewritten that are accepted."""
    store, texts = work.store, plan.texts
    answers = {row.task_id: row.text for row in store.rows(texts.node, Completion)}
    problems = {problem.task_id: problem for problem in PROBLEMS.create(texts.test_set.problem_set).problems()}
    rows, reasons = [], Counter[str]()
    for one in _rewritings(texts, store):
        problem = problems[one.row.task_id]
        done = one.accept(answers.get(one.row.task_id, ""), lambda prompt: still_compiles(problem, prompt))  # noqa: B023
        rows.append(done.row)
        reasons[done.reason] += 1
    with store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, PromptRow, rows, ["task_id"])
        draft.counts = {"rows": len(rows), "rewritten": dict(sorted(reasons.items()))}


def _rewritings(plan: RewrittenTextsPlan, store: Store) -> Sequence[Rewriting]:
    problem_set = PROBLEMS.create(plan.test_set.problem_set)
    problems = {problem.task_id: problem for problem in problem_set.problems()}
    return [
        rewriting(
            row,
            lambda prompt, problem=problems[row.task_id]: problem_set.segments(  # type: ignore[misc]
                dataclasses.replace(problem, prompt=prompt)
            ),
        )
        for row in store.rows(plan.test_set.node, PromptRow)
    ]


def _job(plan: RewrittenTextsPlan, work: Work) -> GenerateJob:
    """Return the job, still without batches."""
    model = base_ref(plan.base)
    return GenerateJob(
        work.store.root,
        model,
        plan.generator,
        DECODING,
        (),
        plan.batch_tokens,
        plan.task,
        plan.node.spec["generator"].get("versions", {}),
        work.context.groups.get(plan.base.name, ""),
        model,
    )
