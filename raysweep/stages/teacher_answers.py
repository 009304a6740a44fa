"""Has a teacher answer its prompt about each row of a source, in the batches and blocks of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from raysweep.engine.base import Work
from raysweep.engine.completing import completions_of, distinct_requests
from raysweep.planning.plan import TeacherAnswersPlan
from raysweep.records import Completion, GenerationRequest, SourceRow
from raysweep.rows.parquet import ROWS, RowWriter, block_count, read_block
from raysweep.stages.generation import asking_job, complete_in_blocks, counts_of
from raysweep.stages.inputs import asking
from raysweep.storage.blocks import Blocks
from raysweep.storage.completions import CompletionPool
from raysweep.storage.store import Store
from raysweep.training_sets.teacher import FenceCheck, teacher_prompt

FIRST = 512
"""Answers after which a teacher that writes no blocks of code is stopped."""


def make_teacher_answers(plan: TeacherAnswersPlan, work: Work) -> None:
    """Write the answers, as many to a block as the source's rows have there.

    Raises:
        HopelessError: more than half lack the block of code that they should have, of all or of the first ones.
    """
    store = work.store
    by_block = list(_requests(plan, store))
    requests = [request for block in by_block for request in block]
    distinct = distinct_requests(requests, plan.decoding, plan.generator)
    blocks = Blocks(store.unfinished(plan.node).below("completions"), Completion)
    pool = CompletionPool(store, plan.pool)
    fences = FenceCheck(plan.base.name, len(distinct), FIRST)

    def check(rows: Iterable[Completion]) -> None:
        for row in rows if plan.needs_fences else ():
            fences.add(row.task_id, row.text)

    job = complete_in_blocks(asking_job(plan, plan.decoding, work), distinct, blocks, pool, work, check)
    pool.add(plan.node)  # before the artefact is there: one that is never noted would be generated again
    with store.writing(plan.node) as draft:
        with RowWriter(draft.folder / ROWS, Completion) as writer:
            for block in by_block:
                writer.add(completions_of(block, job.rows, plan.decoding, plan.generator))
        draft.counts = counts_of(completions_of(requests, job.rows, plan.decoding, plan.generator), job)


def _requests(plan: TeacherAnswersPlan, store: Store) -> Iterator[list[GenerationRequest]]:
    template, stop = asking(plan, store)
    path = store.use(plan.rows.node) / ROWS
    for block in range(block_count(path)):
        requests = []
        for row in read_block(path, SourceRow, block):
            text = template.fill(teacher_prompt(row))
            whole = template.adds_special_tokens(text)
            requests.append(GenerationRequest(row.row_id, row.row_id, text, stop=stop, special_tokens=whole))
        yield requests
