"""The training-set stage: a source's rows, their texts after each method, and the sets that take from both.

All three are written block by block, so no set needs to fit into memory. Rows are perturbed through the engine; the
blocks that a killed run had made are used by the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from raysweep.engine.base import PerturbJob, Stages
from raysweep.problems.base import PROBLEMS
from raysweep.progress import ProgressFile
from raysweep.records import Leak, PerturbedRow, SourceRow, TrainingRow
from raysweep.set_plans import LeakagePlan, PerturbedRowsPlan, SourceRowsPlan, TrainingSetPlan
from raysweep.storage.blocks import Blocks
from raysweep.storage.store import Store
from raysweep.tables import ROWS, RowWriter, block_count, read_block, row_count, write_rows
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.build import build_rows
from raysweep.training_sets.choice import CLEAN, Chooser
from raysweep.training_sets.leakage import LeakFinder
from raysweep.training_sets.perturbing import perturber_of

BLOCK_ROWS = 512


def make_source_rows(plan: SourceRowsPlan, store: Store) -> None:
    """Write a source's rows, those that leak left out where that is planned."""
    rows = iter(SOURCES.create(plan.source).rows()) if plan.leaks is None else _kept(plan.leaks, store)
    with store.writing(plan.node) as draft:
        with RowWriter(draft.folder / ROWS, SourceRow) as writer:
            while block := list(islice(rows, BLOCK_ROWS)):
                writer.add(block)
        draft.counts = {"rows": writer.rows}


def make_leakage(plan: LeakagePlan, store: Store) -> None:
    """List the rows of a source that give evaluated problems away."""
    finder = LeakFinder({name: PROBLEMS.create(spec) for name, spec in plan.problems})
    leaks = list(finder.leaks(_source_rows(plan.rows, store)))
    with store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, Leak, leaks, ["row_id", "problem_set", "task_id"])
        total = row_count(store.use(plan.rows.node) / ROWS)
        draft.counts = {"rows": total, "leaking": len({leak.row_id for leak in leaks})}


def _source_rows(plan: SourceRowsPlan, store: Store) -> Iterator[SourceRow]:
    path = store.use(plan.node) / ROWS
    for block in range(block_count(path)):
        yield from read_block(path, SourceRow, block)


def _kept(leaks: LeakagePlan, store: Store) -> Iterator[SourceRow]:
    leaking = {leak.row_id for leak in store.rows(leaks.node, Leak)}
    return (row for row in _source_rows(leaks.rows, store) if row.row_id not in leaking)


def make_perturbed_rows(
    plans: Sequence[PerturbedRowsPlan], store: Store, stages: Stages, progress: ProgressFile
) -> None:
    """Perturb a source's rows by several methods in one go. The plans have the same source rows and seed."""
    first = plans[0]
    path = store.use(first.rows.node) / ROWS
    total, blocks = row_count(path), range(block_count(path))
    missing = [at for at in blocks if not all(_made(plan, at, store).read() for plan in plans)]
    done = (len(blocks) - len(missing)) * BLOCK_ROWS
    progress.update("perturbing", done, total)
    methods = tuple(plan.method for plan in plans)
    job = PerturbJob(store.root, first.rows.node, first.rows.source, methods, first.seed, tuple(missing))
    for block in stages.perturb(job, progress) if missing else ():
        for plan, rows in zip(plans, block.rows, strict=True):
            _made(plan, block.at, store).add({row.row_id: row for row in rows})
        done = min(done + BLOCK_ROWS, total)
        progress.update("perturbing", done, total)
    for plan in plans:
        with store.writing(plan.node) as draft:
            with RowWriter(draft.folder / ROWS, PerturbedRow) as writer:
                for at in blocks:
                    writer.add(list(_made(plan, at, store).read().values()))
            draft.counts = {"rows": writer.rows}


def make_training_set(plan: TrainingSetPlan, store: Store, progress: ProgressFile) -> None:
    """Take a training set's rows from its source's and their texts after each method; note where none is changed."""
    path = store.use(plan.rows.node) / ROWS
    texts = {text.method.name: store.use(text.node) / ROWS for text in plan.texts}
    perturber = perturber_of(SOURCES.create(plan.rows.source), plan.perturbation, plan.seed)
    chooser = Chooser(plan.choice, row_count(path), list(texts), plan.seed)
    perturbed = unchanged = at = 0
    with store.writing(plan.node) as draft:
        with RowWriter(draft.folder / ROWS, TrainingRow) as writer:
            for block in range(block_count(path)):
                rows = read_block(path, SourceRow, block)
                choices = [chooser.of(n, perturber.method(row.row_id).name) for n, row in enumerate(rows, at)]
                made = build_rows(rows, choices, _texts_of(choices, texts, block))
                writer.add(made)
                perturbed += sum(row.perturbed for row in made)
                unchanged += sum(row.method != CLEAN and not row.perturbed for row in made)
                at += len(rows)
        draft.counts = {"rows": writer.rows, "perturbed": perturbed, "rows_unchanged": unchanged}
    if unchanged and not perturbed:
        progress.note(f"{plan.perturbation.name} changes none of the {unchanged} rows that it was to perturb")


def _texts_of(choices: Sequence[Sequence[str]], texts: dict[str, Path], block: int) -> dict[str, list[PerturbedRow]]:
    """Return a block's texts after the methods that it needs."""
    needed = {method for methods in choices for method in methods} & texts.keys()
    return {name: read_block(texts[name], PerturbedRow, block) for name in sorted(needed)}


def _made(plan: PerturbedRowsPlan, block: int, store: Store) -> Blocks[PerturbedRow]:
    """Return where the rows of one block are kept until all are there."""
    return Blocks(store.work(plan.node).below(f"block-{block:06d}"), PerturbedRow)
