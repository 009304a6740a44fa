"""Generates the completions of a cell's prompts, in blocks.

Each block is written as soon as it is done, so that a kill loses at most the blocks in progress. Equal prompts of one
cell are completed once.
"""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.engine.base import GenerateJob, Work
from raysweep.engine.jobs import batches_by_length, completions_of, request_key
from raysweep.planning.plan import CellPlan, CompletionsPlan
from raysweep.records import Completion, GenerationRequest
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages.inputs import model_ref, requests_of
from raysweep.storage.blocks import Blocks


def generate(plans: Sequence[CompletionsPlan], work: Work) -> None:
    """Complete the prompts of a cell's test sets in one job. All plans belong to one cell."""
    cell = plans[0].cell
    requests_by_pair = [requests_of(cell, plan.pair, work.store) for plan in plans]
    distinct = {request_key(request, cell.decoding): request for requests in requests_by_pair for request in requests}
    blocks = Blocks(work.store.unfinished(cell.evaluation).below("completions"), Completion)
    completions = blocks.read()
    resumed = sum(key in completions for key in distinct)
    remaining = {key: request for key, request in distinct.items() if key not in completions}
    batches = batches_by_length(remaining, cell.batch_size)
    if batches:
        work.progress.update("generating", resumed, len(distinct))
        done = resumed
        for output in work.stages.generate(_job(cell, remaining, batches, work), work.progress):
            rows = dict(zip(batches[output.index], output.rows, strict=True))
            blocks.add(rows)
            completions.update(rows)
            done += len(rows)
            work.progress.update("generating", done, len(distinct))
    for plan, requests in zip(plans, requests_by_pair, strict=True):
        pair_rows = completions_of(requests, completions, cell.decoding)
        with work.store.writing(plan.node) as draft:
            write_rows(draft.folder / ROWS, Completion, pair_rows, ["task_id", "sample"])
            draft.counts = {
                "rows": len(pair_rows),
                "distinct_prompts_of_cell": len(distinct),
                "prompts_resumed": resumed,
                "batch_size": cell.batch_size,
            }


def _job(
    cell: CellPlan, requests: dict[str, GenerationRequest], batches: Sequence[Sequence[str]], work: Work
) -> GenerateJob:
    return GenerateJob(
        work.store.root,
        model_ref(cell),
        cell.generator,
        cell.decoding,
        [[requests[key] for key in batch] for batch in batches],
        cell.batch_size,
        cell.cell.id,
    )
