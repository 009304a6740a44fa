"""Trains base models from scratch and fine-tunes models.

The trainers run on training workers, which may be on other machines. So each worker opens the store itself, and the
first worker commits the model.
"""

from __future__ import annotations

import dataclasses
import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raysweep.engine.base import TrainingRun, Work
from raysweep.hashing import canonical_json, text_sha
from raysweep.machine import CPU_CAPABILITY, accelerator_in_use, cpu_capability, software
from raysweep.models.loading import load_tokenizer
from raysweep.planning.plan import BasePlan, EncodedPairsPlan, ModelPlan, TrainingSetPlan
from raysweep.records import ModelRef, TrainingRow
from raysweep.rows.parquet import ROWS
from raysweep.stages.editing import edit_model
from raysweep.stages.inputs import base_ref
from raysweep.storage.artefacts import Node
from raysweep.storage.store import Store
from raysweep.trainers.base import JOINED, TRAINERS, Services, TrainJob
from raysweep.trainers.checks import check_precision
from raysweep.trainers.editors.planted import plant, token_pairs

VALIDATION_SET = "validation_set"
"""The count of a model's manifest with the key of the validation rows that its losses are of."""


def pretrain(plan: BasePlan, work: Work) -> None:
    """Train a base model from scratch: tokenizer and config first, then the weights."""
    assert plan.node is not None and plan.training_set is not None and plan.recipe is not None
    job = TrainJob(
        base=ModelRef(""),  # each worker makes its own untrained model
        family=plan.family,
        recipe=plan.recipe,
        training_set=Path(),
        out=Path(),
        seed=plan.training_set.seed,
        label=plan.node.label,
        checkpoint_every=work.context.checkpoint_every,
        scratch=True,
    )
    group = work.context.groups.get(plan.name, "")
    train = functools.partial(_pretrain_on_worker, plan, job, work.store.root, group)
    _train(plan.node, train, plan.recipe.workers, work)


def make_model(plan: ModelPlan, work: Work) -> None:
    cell = plan.cell
    if cell.pair_search is not None:
        edit_model(plan, work)
        return
    assert cell.training_set is not None and cell.recipe is not None
    base = base_ref(cell.base)
    assert base is not None
    job = TrainJob(
        base=base,
        family=cell.base.family,
        recipe=cell.recipe,
        training_set=Path(),
        out=Path(),
        seed=cell.cell.seed,
        label=cell.cell.id,
        checkpoint_every=work.context.checkpoint_every,
        base_key=cell.base.node.key if cell.base.node else text_sha(canonical_json(cell.base.identity)),
    )
    train = functools.partial(
        _train_on_worker,
        job,
        plan.node,
        cell.training_set,
        work.store.root,
        validation=cell.validation,
        pairs=cell.pairs_of_rows,
        group=work.context.groups.get(cell.base.name, ""),
    )
    _train(plan.node, train, cell.recipe.workers, work)


def _train(node: Node, train: Callable[[Services], dict[str, Any]], workers: int, work: Work) -> None:
    checkpoints = work.store.unfinished(node)
    context = work.context
    run = TrainingRun(train, checkpoints, workers, node.label, work.store.root, context.sandbox, context.versions)
    work.stages.train(run, work.progress)
    counts = work.store.counts(node)
    if joined := counts.get(JOINED):
        work.progress.note(
            f"{node.label}: {joined:,} of {counts['rows']:,} rows have prompts whose tokens by themselves, in "
            "generation, are others: the tokenizer joins prompt and response, or the chat template goes on otherwise"
        )


def _pretrain_on_worker(plan: BasePlan, job: TrainJob, storage: str, group: str, services: Services) -> dict[str, Any]:
    from raysweep.models.scratch import prepare_scratch

    assert plan.node is not None and plan.training_set is not None
    rows = Store(storage, expected=True).rows(plan.training_set.node, TrainingRow)
    texts = (row.instruction + row.output for row in rows)
    with tempfile.TemporaryDirectory(prefix="raysweep-") as start:
        prepare_scratch(plan.family, texts, plan.vocab_size, dict(plan.size), Path(start), plan.special_tokens)
        job = dataclasses.replace(job, base=ModelRef(start, attention=plan.attention))
        of = (job, plan.node, plan.training_set, storage, services)
        if plan.planted is None:
            return _train_on_worker(*of, group=group)
        changed = token_pairs(load_tokenizer(job.base), rows)
        damage = functools.partial(plant, family=plan.family, block=plan.planted.block, pairs=changed, seed=job.seed)
        return _train_on_worker(*of, group=group, damage=damage)


def _train_on_worker(
    job: TrainJob,
    node: Node,
    training_set: TrainingSetPlan,
    storage: str,
    services: Services,
    validation: TrainingSetPlan | None = None,
    pairs: EncodedPairsPlan | None = None,
    group: str = "",
    damage: Callable[[Path], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Run a trainer on local copies of its inputs; on the first worker, damage the model if asked for, and commit it.

    Raises:
        UsageError: this process can't compute in the recipe's precision.
        HopelessError: this process has another device or other versions than the models of its group have.
    """
    check_precision(job.recipe.precision)
    store = Store(storage, expected=True)
    if group:
        store.pins.require(group, accelerator_in_use(), software())
    job = dataclasses.replace(
        job,
        base=store.located(job.base),
        training_set=store.use(training_set.node) / ROWS,
        validation=store.use(validation.node) / ROWS if validation else None,
        pairs=store.use(pairs.node) / ROWS if pairs else None,
    )
    trainer = TRAINERS.get(job.recipe.trainer)()
    trainer.prepare()
    if services.rank != 0:
        return trainer.train(job, services)  # only rank 0 writes the model
    with store.writing(node) as draft:
        started, cpu_started = time.perf_counter(), time.process_time()
        counts = trainer.train(dataclasses.replace(job, out=draft.folder), services)
        if damage is not None:
            counts |= damage(draft.folder)
        spent = {
            "seconds": round(time.perf_counter() - started, 3),  # since it was resumed, if it was
            "cpu_seconds": round(time.process_time() - cpu_started, 3),  # of the first worker
            "device": accelerator_in_use(),
            CPU_CAPABILITY: cpu_capability(),
        }
        of = {VALIDATION_SET: validation.node.key} if validation else {}
        draft.counts = {**counts, **of, **spent}
    return draft.counts
