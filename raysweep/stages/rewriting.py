"""Has a base model rewrite the prompts of a test set (Self-Denoising), in the batches and blocks of an evaluation."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping, Sequence

from raysweep.engine.base import Work
from raysweep.engine.completing import completions_of, distinct_requests
from raysweep.planning.plan import RewrittenSetPlan, RewrittenTextsPlan
from raysweep.problems.base import PROBLEMS
from raysweep.prompts.rewriting import DECODING, Rewriting, rewriting
from raysweep.records import Completion, Problem, PromptRow, Segment
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages.generation import asking_job, complete_in_blocks, counts_of
from raysweep.stages.inputs import asking
from raysweep.stages.test_sets import still_compiles
from raysweep.storage.blocks import Blocks
from raysweep.storage.completions import CompletionPool
from raysweep.storage.store import Store

REASONS = "rewritten"
"""The count of a rewritten test set's manifest: its prompts by what became of them."""


def make_rewritten_texts(plan: RewrittenTextsPlan, work: Work) -> None:
    store = work.store
    template, stop = asking(plan, store)
    asked = [one.request(template, stop) for one in _rewritings(plan, _problems(plan), store)]
    requests = [request for request in asked if request is not None]
    distinct = distinct_requests(requests, DECODING, plan.generator)
    pool = CompletionPool(store, plan.pool)
    blocks = Blocks(store.unfinished(plan.node).below("completions"), Completion)
    job = complete_in_blocks(asking_job(plan, DECODING, work), distinct, blocks, pool, work)
    rows = completions_of(requests, job.rows, DECODING, plan.generator)
    pool.add(plan.node)  # before the artefact is there: one that is never noted would be generated again
    with store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, Completion, rows, ["task_id", "sample"])
        draft.counts = counts_of(rows, job)


def make_rewritten_set(plan: RewrittenSetPlan, work: Work) -> None:
    store, texts = work.store, plan.texts
    answers = {row.task_id: row.text for row in store.rows(texts.node, Completion)}
    problems = _problems(texts)
    rows, reasons = [], Counter[str]()
    for one in _rewritings(texts, problems, store):
        task = one.row.task_id
        done = one.accept(answers.get(task, ""), functools.partial(still_compiles, problems[task]))
        rows.append(done.row)
        reasons[done.reason] += 1
    with store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, PromptRow, rows, ["task_id"])
        draft.counts = {"rows": len(rows), REASONS: dict(sorted(reasons.items()))}


def _rewritings(plan: RewrittenTextsPlan, problems: Mapping[str, Problem], store: Store) -> list[Rewriting]:
    segments = PROBLEMS.create(plan.test_set.problem_set).segments

    def split(problem: Problem, prompt: str) -> Sequence[Segment]:
        return segments(dataclasses.replace(problem, prompt=prompt))

    rows = store.rows(plan.test_set.node, PromptRow)
    return [rewriting(row, functools.partial(split, problems[row.task_id])) for row in rows]


def _problems(plan: RewrittenTextsPlan) -> dict[str, Problem]:
    return {problem.task_id: problem for problem in PROBLEMS.create(plan.test_set.problem_set).problems()}
