"""Makes training sets in three steps: a source's rows, their texts after each method, and the rows of each set.

Each step works block by block, so no set needs to fit into memory. The engine perturbs the rows. A run resumes from the
blocks that a killed one has finished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from raysweep.engine.base import PerturbJob, Work
from raysweep.planning.plan import LeakagePlan, PerturbedRowsPlan, RejectedRowsPlan, SourceRowsPlan, TrainingSetPlan
from raysweep.problems.base import PROBLEMS
from raysweep.records import CLEAN, Leak, PerturbedRow, RejectedRow, SourceRow, TrainingRow
from raysweep.rows.exported_sets import REASON
from raysweep.rows.parquet import ROWS, RowWriter, block_count, read_block, row_count, write_rows
from raysweep.stages.inputs import require_rows, require_unique
from raysweep.storage.blocks import Blocks
from raysweep.storage.store import Store
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.build import build_rows
from raysweep.training_sets.leakage import LeakFinder
from raysweep.training_sets.perturbing import perturber_of
from raysweep.training_sets.selection import Chooser
from raysweep.units import count

BLOCK_ROWS = 512


def make_source_rows(plan: SourceRowsPlan, work: Work) -> None:
    if plan.leaks is None:
        rows = iter(SOURCES.create(plan.source).rows())
    else:
        leaking = {leak.row_id for leak in work.store.rows(plan.leaks.node, Leak)}
        rows = (row for row in _source_rows(plan.leaks.rows, work.store) if row.row_id not in leaking)
    ids: set[str] = set()
    with work.store.writing(plan.node) as draft:
        with RowWriter(draft.folder / ROWS, SourceRow) as writer:
            while block := list(islice(rows, BLOCK_ROWS)):
                require_unique([row.row_id for row in block], "row id", f"source {plan.source.name!r}", ids)
                writer.add(block)
        if plan.leaks is None:
            require_rows(writer.rows, f"source {plan.source.name!r}")
        draft.counts = {"rows": writer.rows}


def make_leakage(plan: LeakagePlan, work: Work) -> None:
    """List the rows of a source that leak evaluated problems, by their rejected responses too."""
    finder = LeakFinder({name: PROBLEMS.create(spec) for name, spec in plan.problems})
    leaks = list(finder.leaks(_source_rows(plan.rows, work.store, plan.rejected)))
    with work.store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, Leak, leaks, ["row_id", "problem_set", "task_id"])
        total = row_count(work.store.use(plan.rows.node) / ROWS)
        draft.counts = {"rows": total, "leaking": len({leak.row_id for leak in leaks})}


def _source_rows(plan: SourceRowsPlan, store: Store, rejected: RejectedRowsPlan | None = None) -> Iterator[SourceRow]:
    path = store.use(plan.node) / ROWS
    for block in range(block_count(path)):
        yield from _with_rejected(read_block(path, SourceRow, block), _rejected_of(rejected, block, store))


def make_perturbed_rows(plans: Sequence[PerturbedRowsPlan], work: Work) -> None:
    """Perturb a source's rows by several methods in one job. All plans have the same source rows and seed."""
    store, progress = work.store, work.progress
    first = plans[0]
    path = store.use(first.rows.node) / ROWS
    total, blocks = row_count(path), range(block_count(path))
    missing = [block for block in blocks if not all(_finished_rows(plan, block, store).read() for plan in plans)]
    done = (len(blocks) - len(missing)) * BLOCK_ROWS
    how = f"a block of {min(BLOCK_ROWS, total)} rows at a time by {count(len(plans), 'method')}"
    progress.update("perturbing", done, total, how)
    methods = tuple(plan.method for plan in plans)
    job = PerturbJob(store.root, first.rows.node, first.rows.source, methods, first.seed, tuple(missing))
    for output in work.stages.perturb(job, progress) if missing else ():
        for plan, rows in zip(plans, output.rows, strict=True):
            _finished_rows(plan, output.index, store).add({row.row_id: row for row in rows})
        done = min(done + BLOCK_ROWS, total)
        progress.update("perturbing", done, total, how, force=True)  # else the next block's report would be the next
    for plan in plans:
        with store.writing(plan.node) as draft:
            with RowWriter(draft.folder / ROWS, PerturbedRow) as writer:
                for block in blocks:
                    writer.add(list(_finished_rows(plan, block, store).read().values()))
            draft.counts = {"rows": writer.rows}


def make_training_set(plan: TrainingSetPlan, work: Work) -> None:
    """Build a training set from source rows and perturbed texts; warn if the perturbation changed no row."""
    store = work.store
    path = store.use(plan.rows.node) / ROWS
    texts = {text.method.name: store.use(text.node) / ROWS for text in plan.texts}
    perturber = perturber_of(SOURCES.create(plan.rows.source), plan.perturbation, plan.seed)
    chooser = Chooser(plan.choice, row_count(path), list(texts), plan.seed)
    perturbed = unchanged = first_row = unpaired = 0
    with store.writing(plan.node) as draft:
        with RowWriter(draft.folder / ROWS, TrainingRow) as writer:
            for block in range(block_count(path)):
                made = _rejected_of(plan.rejected, block, store)
                rows = _with_rejected(read_block(path, SourceRow, block), made)
                numbered = enumerate(rows, first_row)
                choices = [chooser.methods_of(n, perturber.method(row.row_id).name) for n, row in numbered]
                built = build_rows(rows, choices, _texts_of(choices, texts, block))
                kept = [row for row in built if row.rejected is not None] if plan.paired_only else built
                unpaired += len(built) - len(kept)
                training_rows = [_with_reason(row, made) for row in kept]
                writer.add(training_rows)
                perturbed += sum(row.perturbed for row in training_rows)
                unchanged += sum(row.method != CLEAN and not row.perturbed for row in training_rows)
                first_row += len(rows)
        counts = {"rows": writer.rows, "perturbed": perturbed, "rows_unchanged": unchanged}
        draft.counts = counts | ({"rows_unpaired": unpaired} if plan.paired_only else {})
    if unchanged and not perturbed:
        work.progress.note(f"{plan.perturbation.name} changes none of the {unchanged} rows chosen for it")


def _rejected_of(plan: RejectedRowsPlan | None, block: int, store: Store) -> dict[str, RejectedRow]:
    if plan is None:
        return {}
    return {row.row_id: row for row in read_block(store.use(plan.node) / ROWS, RejectedRow, block)}


def _with_rejected(rows: list[SourceRow], made: Mapping[str, RejectedRow]) -> list[SourceRow]:
    return [replace(row, rejected=made[row.row_id].rejected) for row in rows] if made else rows


def _with_reason(row: TrainingRow, made: Mapping[str, RejectedRow]) -> TrainingRow:
    if row.source_id not in made or row.rejected is None:
        return row
    return replace(row, meta=json.dumps({REASON: made[row.source_id].reason}))


def _texts_of(choices: Sequence[Sequence[str]], texts: dict[str, Path], block: int) -> dict[str, list[PerturbedRow]]:
    needed = {method for methods in choices for method in methods} & texts.keys()
    return {name: read_block(texts[name], PerturbedRow, block) for name in sorted(needed)}


def _finished_rows(plan: PerturbedRowsPlan, block: int, store: Store) -> Blocks[PerturbedRow]:
    """Return the store's folder for the perturbed rows of one block, where they stay until all blocks are done."""
    return Blocks(store.unfinished(plan.node).below(f"block-{block:06d}"), PerturbedRow)
