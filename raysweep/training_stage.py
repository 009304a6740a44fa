"""The training stage: base models from scratch, and fine-tuned models.

What is here runs on the training workers, which may be on other machines: they open the store themselves, and the first
of them commits the model.
"""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from pathlib import Path
from typing import Any

from raysweep.engine.base import Stages, TrainWork
from raysweep.plans import BasePlan, CellPlan
from raysweep.progress import ProgressFile
from raysweep.records import ModelRef, TrainingRow
from raysweep.set_plans import TrainingSetPlan
from raysweep.stage_inputs import base_ref
from raysweep.storage.artefacts import Node
from raysweep.storage.store import Store
from raysweep.tables import ROWS
from raysweep.trainers.base import TRAINERS, Services, TrainJob


def pretrain(plan: BasePlan, store: Store, checkpoint_every: int, stages: Stages, progress: ProgressFile) -> None:
    """Train a base model from scratch: tokenizer and config first, then the weights."""
    assert plan.node is not None and plan.training_set is not None and plan.recipe is not None
    job = TrainJob(
        base=ModelRef(""),  # made by each worker for itself
        family=plan.family,
        recipe=plan.recipe,
        training_set=Path(),
        out=Path(),
        seed=plan.training_set.seed,
        label=plan.node.label,
        checkpoint_every=checkpoint_every,
        scratch=True,
    )
    run = functools.partial(_pretrain_here, plan, job, store.root)
    stages.train(TrainWork(run, store.work(plan.node), plan.recipe.workers, plan.node.label), progress)


def fine_tune(plan: CellPlan, store: Store, checkpoint_every: int, stages: Stages, progress: ProgressFile) -> None:
    """Fine-tune the cell's base model on its training set."""
    assert plan.model is not None and plan.training_set is not None and plan.recipe is not None
    base = base_ref(plan.base)
    assert base is not None
    job = TrainJob(
        base=base,
        family=plan.base.family,
        recipe=plan.recipe,
        training_set=Path(),
        out=Path(),
        seed=plan.cell.seed,
        label=plan.cell.id,
        checkpoint_every=checkpoint_every,
    )
    run = functools.partial(_train_here, job, plan.model, plan.training_set, store.root)
    stages.train(TrainWork(run, store.work(plan.model), plan.recipe.workers, plan.cell.id), progress)


def _pretrain_here(plan: BasePlan, job: TrainJob, storage: str, services: Services) -> dict[str, Any]:
    from raysweep.models.scratch import prepare_scratch

    assert plan.node is not None and plan.training_set is not None
    rows = Store(storage, expected=True).rows(plan.training_set.node, TrainingRow)
    texts = (row.instruction + row.output for row in rows)
    with tempfile.TemporaryDirectory(prefix="raysweep-") as start:
        prepare_scratch(plan.family, texts, plan.vocab_size, dict(plan.size), Path(start))
        job = dataclasses.replace(job, base=ModelRef(start))
        return _train_here(job, plan.node, plan.training_set, storage, services)


def _train_here(
    job: TrainJob, node: Node, training_set: TrainingSetPlan, storage: str, services: Services
) -> dict[str, Any]:
    """Run a trainer with local copies of what it reads; the first worker commits what it writes."""
    store = Store(storage, expected=True)
    rows = store.use(training_set.node) / ROWS
    job = dataclasses.replace(job, base=store.located(job.base), training_set=rows)
    trainer = TRAINERS.get(job.recipe.trainer)()
    if services.rank != 0:
        return trainer.train(job, services)  # writes nothing
    with store.writing(node) as draft:
        draft.counts = trainer.train(dataclasses.replace(job, out=draft.folder), services)
    return draft.counts
