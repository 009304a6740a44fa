"""Generates completions in blocks: those of a cell's prompts, and for others that ask a model (asking.py).

A block is written every half minute, so that a kill loses little beside the batches in flight. Equal prompts of one
model are completed once, whichever test set or sweep has them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from raysweep.engine.base import GenerateJob, Work
from raysweep.engine.completing import complete, completions_of, distinct_requests
from raysweep.generators.base import is_too_long
from raysweep.planning.choice import chosen_count, with_choice, writer_before
from raysweep.planning.plan import CellPlan, CompletionsPlan
from raysweep.records import Completion, GenerationRequest
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages.inputs import base_ref, model_ref, requests_of
from raysweep.storage.blocks import Blocks
from raysweep.storage.completions import CompletionPool

BLOCK_ROWS, BLOCK_SECONDS = 4096, 30.0
"""A block is written once it has so many completions, or after so long."""


@dataclass(frozen=True)
class _Generated:
    """What a job has generated. `facts`: for the manifest, how. `loads`: whole models that were loaded for it."""

    completions: Mapping[str, Completion]
    loads: int = 0
    cpu_seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JobCompletions:
    """All completions of a job by key. `reused`: keys of those from the store; `resumed`: from an earlier attempt."""

    rows: Mapping[str, Completion]
    reused: Collection[str]
    resumed: int
    generated: _Generated


def generate(plans: Sequence[CompletionsPlan], work: Work) -> None:
    """Complete the prompts of a cell's test sets in one job. All plans belong to one cell."""
    cell = with_choice(plans[0].cell, work.store)
    requests_by_pair = [requests_of(cell, plan.pair, work.store) for plan in plans]
    distinct = distinct_requests(chain.from_iterable(requests_by_pair), cell.decoding, cell.generator)
    chosen = chosen_count(cell, work.store)
    name = "completions" + "".join(f"-{key[:16]}" for key in chosen.values())  # another model's are left alone
    blocks = Blocks(work.store.unfinished(cell.evaluation).below(name), Completion)
    pool = CompletionPool(work.store, cell.pool)
    job = complete_in_blocks(generate_job(cell, work), distinct, blocks, pool, work)
    counted: set[str] = set()  # keys that an earlier pair of this job has, too
    for plan, requests in zip(plans, requests_by_pair, strict=True):
        rows = completions_of(requests, job.rows, cell.decoding, cell.generator)
        if before := writer_before(plan.cell, plan.node, work.store):  # another model's
            CompletionPool(work.store, replace(plan.cell, model=before.model).pool).remove(plan.node)
            work.store.remove(plan.node)
        pool.add(plan.node)  # before the artefact is there: one that is never noted would be generated again
        with work.store.writing(plan.node) as draft:
            write_rows(draft.folder / ROWS, Completion, rows, ["task_id", "sample"])
            draft.counts = {**counts_of(rows, job, counted, is_first=plan is plans[0]), **chosen}
        counted.update(row.key for row in rows)


def complete_in_blocks(
    job: GenerateJob,
    distinct: Mapping[str, GenerationRequest],
    blocks: Blocks[Completion],
    pool: CompletionPool,
    work: Work,
    check: Callable[[Iterable[Completion]], None] | None = None,
) -> JobCompletions:
    """Return the completions of distinct requests; those that neither blocks nor pool have are generated.

    `blocks`: where an attempt after a kill finds completions. Those that aren't asked for here go to the pool. `pool`:
    the store's completions of the same model, written in the same way. `check`: called with all completions, each once,
    as they come; what it raises ends the job, and they are kept.
    """
    completions = blocks.read()
    resumed = sum(key in completions for key in distinct)
    pool.keep({key: row for key, row in completions.items() if key not in distinct})
    reused = pool.find(distinct.keys() - completions.keys())
    completions |= reused
    if check:
        check(completions[key] for key in distinct if key in completions)
    remaining = {key: request for key, request in distinct.items() if key not in completions}
    work.stages.count_reused("completions", len(distinct) - len(remaining))
    generated = _generate(job, remaining, len(distinct), blocks, work, check) if remaining else _Generated({})
    return JobCompletions({**completions, **generated.completions}, reused, resumed, generated)


def _generate(
    job: GenerateJob,
    requests: Mapping[str, GenerationRequest],
    total: int,
    blocks: Blocks[Completion],
    work: Work,
    check: Callable[[Iterable[Completion]], None] | None,
) -> _Generated:
    """Have the engine complete distinct requests, and write completions into blocks as they come."""
    completions: dict[str, Completion] = {}
    loads, cpu_seconds = 0, 0.0
    facts: dict[str, Any] = {}
    before = total - len(requests)
    work.progress.update("generating", before, total)
    with _Writer(blocks) as writer:
        outputs = complete(job, requests, lambda job: work.stages.generate(job, work.progress))
        for rows, output in outputs:
            writer.add(rows)
            completions.update(rows)
            loads += output.loads
            cpu_seconds += output.cpu_seconds
            facts |= {name: min(facts.get(name, value), value) for name, value in output.facts.items()}
            work.progress.update("generating", before + len(completions), total)
            if check:
                check(rows.values())
    return _Generated(completions, loads, cpu_seconds, facts)


def counts_of(
    rows: Sequence[Completion], job: JobCompletions, counted: Collection[str] = (), *, is_first: bool = True
) -> dict[str, Any]:
    """Return the counts of an artefact of completions for its manifest, such as of a pair of a cell.

    `counted`: keys that earlier pairs have counted. `is_first`: the pair is the job's first, which counts the models
    that were loaded.
    """
    distinct = {row.key: row for row in rows if row.key not in counted}
    new = [row for key, row in distinct.items() if key not in job.reused]
    made = job.generated
    tokens = sum(row.tokens for key, row in distinct.items() if key in made.completions)
    seconds_per_token = made.cpu_seconds / max(1, sum(row.tokens for row in made.completions.values()))
    return {
        "rows": len(rows),
        "distinct": len(distinct),  # without those that an earlier pair of this job has too
        "reused": len(distinct) - len(new),
        "tokens": sum(row.tokens for row in new),
        "prompt_tokens": sum(row.prompt_tokens for row in new),
        "cpu_seconds": round(seconds_per_token * tokens, 3),
        "prompts_resumed": job.resumed,  # of the whole job
        "models_loaded": made.loads if is_first else 0,  # whole ones, of the whole job
        "prompts_too_long": len({row.prompt_sha for row in rows if is_too_long(row)}),
        **made.facts,
    }


class _Writer:
    """Writes completions into blocks, so that a kill loses little and there are few files.

    A block is written once it is large, or so long after the one before, also while the next batch takes its time.
    """

    def __init__(self, blocks: Blocks[Completion]) -> None:
        self._blocks = blocks
        self._rows: dict[str, Completion] = {}
        self._since = time.monotonic()
        self._turn = threading.Lock()
        self._timer: threading.Timer | None = None

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._turn:
            if self._timer:
                self._timer.cancel()
            self._write()

    def add(self, rows: Mapping[str, Completion]) -> None:
        with self._turn:
            self._rows.update(rows)
            left = self._since + BLOCK_SECONDS - time.monotonic()
            if len(self._rows) >= BLOCK_ROWS or left <= 0:
                self._write()
            elif self._timer is None:
                self._timer = threading.Timer(left, self._write_late)
                self._timer.daemon = True
                self._timer.start()

    def _write_late(self) -> None:
        with self._turn:
            self._timer = None
            with contextlib.suppress(Exception):  # the rows stay; if it fails again, the job's own thread raises it
                self._write()

    def _write(self) -> None:
        """Write the rows there are. The caller holds the lock."""
        if self._rows:
            self._blocks.add(self._rows)
            self._rows, self._since = {}, time.monotonic()


def generate_job(cell: CellPlan, work: Work) -> GenerateJob:
    return GenerateJob(
        work.store.root,
        model_ref(cell),
        cell.generator,
        cell.decoding,
        (),
        cell.batch_tokens,
        cell.cell.id,
        cell.pairs[0].completions.spec["generator"].get("versions", {}),
        work.context.groups.get(cell.base.name, ""),
        base_ref(cell.base),
    )
