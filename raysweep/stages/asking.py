"""Asks base models for texts beside an evaluation: a teacher's answers, and rewritten prompts (Self-Denoising).

A teacher answers its prompt about each row of a source. Both go in the batches and blocks of an evaluation.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from raysweep.engine.base import GenerateJob, Work
from raysweep.engine.completing import completions_of, distinct_requests
from raysweep.planning.plan import AskingPlan, RewrittenSetPlan, RewrittenTextsPlan, TeacherAnswersPlan
from raysweep.problems.base import PROBLEMS
from raysweep.prompts.rewriting import DECODING, Rewriting, rewriting
from raysweep.prompts.templates import CHAT, PromptTemplate
from raysweep.records import Completion, Decoding, GenerationRequest, Problem, PromptRow, Segment, SourceRow
from raysweep.rows.parquet import ROWS, RowWriter, block_count, read_block, write_rows
from raysweep.stages.generation import JobCompletions, complete_in_blocks, counts_of
from raysweep.stages.inputs import base_ref, with_tokenizer
from raysweep.stages.test_sets import still_compiles
from raysweep.storage.blocks import Blocks
from raysweep.storage.completions import CompletionPool
from raysweep.storage.store import Store
from raysweep.training_sets.rejected.teacher import FenceCheck, teacher_prompt

FIRST = 512
"""Answers after which a teacher that writes no blocks of code is stopped."""
REASONS = "rewritten"
"""The count of a rewritten test set's manifest: its prompts by what became of them."""


def make_teacher_answers(plan: TeacherAnswersPlan, work: Work) -> None:
    """Write the answers, as many to a block as the source's rows have there.

    Raises:
        HopelessError: more than half lack the block of code that they should have, of all or of the first ones.
    """
    by_block = list(_teacher_requests(plan, work.store))
    requests = [request for block in by_block for request in block]
    distinct = distinct_requests(requests, plan.decoding, plan.generator)
    fences = FenceCheck(plan.base.name, len(distinct), FIRST)

    def check(rows: Iterable[Completion]) -> None:
        for row in rows if plan.needs_fences else ():
            fences.add(row.task_id, row.text)

    job = _asked(plan, distinct, plan.decoding, work, check)
    with work.store.writing(plan.node) as draft:
        with RowWriter(draft.folder / ROWS, Completion) as writer:
            for block in by_block:
                writer.add(completions_of(block, job.rows, plan.decoding, plan.generator))
        draft.counts = counts_of(completions_of(requests, job.rows, plan.decoding, plan.generator), job)


def _teacher_requests(plan: TeacherAnswersPlan, store: Store) -> Iterator[list[GenerationRequest]]:
    template, stop = _asking(plan, store)
    path = store.use(plan.rows.node) / ROWS
    for block in range(block_count(path)):
        requests = []
        for row in read_block(path, SourceRow, block):
            text = template.fill(teacher_prompt(row))
            whole = template.adds_special_tokens(text)
            asked = GenerationRequest(row.row_id, row.row_id, text, stop=stop, special_tokens=whole)
            requests.append(dataclasses.replace(asked, opened=template.opened(text)))
        yield requests


def make_rewritten_texts(plan: RewrittenTextsPlan, work: Work) -> None:
    store = work.store
    template, stop = _asking(plan, store)
    asked = [one.request(template, stop) for one in _rewritings(plan, _problems(plan), store)]
    requests = [request for request in asked if request is not None]
    job = _asked(plan, distinct_requests(requests, DECODING, plan.generator), DECODING, work)
    rows = completions_of(requests, job.rows, DECODING, plan.generator)
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


def _asking(plan: AskingPlan, store: Store) -> tuple[PromptTemplate, tuple[str, ...]]:
    """Return the template in which a plan asks its model, and the texts that end an answer, such as a chat's end."""
    template = PromptTemplate(plan.template, plan.system, day=plan.day, arguments=plan.template_arguments)
    if template.needs_tokenizer:
        template = with_tokenizer(template, plan.base, store)
    return template, (*plan.stop, template.end) if template.name == CHAT else plan.stop


def _asked(
    plan: AskingPlan,
    distinct: Mapping[str, GenerationRequest],
    decoding: Decoding,
    work: Work,
    check: Callable[[Iterable[Completion]], None] | None = None,
) -> JobCompletions:
    blocks = Blocks(work.store.unfinished(plan.node).below("completions"), Completion)
    pool = CompletionPool(work.store, plan.pool)
    model = base_ref(plan.base)
    job = GenerateJob(
        work.store.root,
        model,
        plan.generator,
        decoding,
        (),
        plan.batch_tokens,
        plan.task,
        plan.node.spec["generator"].get("versions", {}),
        work.context.groups.get(plan.base.name, ""),
        model,
    )
    completed = complete_in_blocks(job, distinct, blocks, pool, work, check)
    pool.add(plan.node)  # before the artefact is there: one that is never noted would be generated again
    return completed
