"""Chooses among the models of a group of recipes the one that is evaluated: the one with the lowest validation loss.

Of equal losses the one with fewer optimizer steps is chosen, then the one whose key comes first. So neither the names
of recipes nor the order in which their models were trained counts. A loss that isn't finite is never chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from raysweep.engine.base import Work
from raysweep.errors import HopelessError
from raysweep.hashing import as_number
from raysweep.planning.plan import CellPlan, SelectionPlan
from raysweep.records import CandidateLoss
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages.training import VALIDATION_SET
from raysweep.storage.store import Store
from raysweep.storage.uses import CHOSEN
from raysweep.trainers.base import KEPT_STEP
from raysweep.units import count


def choose_model(plan: SelectionPlan, work: Work) -> None:
    """Write each candidate's loss, name the chosen one in the counts; raise HopelessError without a finite one."""
    candidates = plan.selection.candidates
    losses = {loss.model_key: loss for loss in (_loss(candidate, work.store) for candidate in candidates)}
    finite = [loss for loss in losses.values() if math.isfinite(loss.loss)]
    if not finite:
        raise HopelessError(
            f"{plan.cell.cell.id}: none of its {count(len(candidates), 'candidate')} has a finite validation loss by "
            "which one could be chosen; lower their `lr`"
        )
    chosen = min(finite, key=lambda one: (one.loss, one.steps, one.model_key))
    with work.store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, CandidateLoss, losses.values(), ["model_key"])
        draft.counts = {"rows": len(losses), CHOSEN: chosen.model_key, "loss": chosen.loss}


def _loss(candidate: CellPlan, store: Store) -> CandidateLoss:
    assert candidate.model is not None
    counts = store.counts(candidate.model)  # a model that was dropped since has them too
    if why := why_incomparable(candidate, store):
        raise HopelessError(why)
    losses = [(int(step), as_number(loss)) for step, loss in counts["validation_losses"]]
    kept = int(counts.get(KEPT_STEP, losses[-1][0]))
    loss = next(loss for step, loss in losses if step == kept)
    return CandidateLoss(candidate.model.key, loss, kept, int(counts["steps"]))


def why_incomparable(candidate: CellPlan, store: Store) -> str:
    """Return why a model that exists can't be chosen by its losses; empty if it can, or doesn't exist.

    A model's key says nothing of validation rows, so it may have been trained without them or with others.
    """
    assert candidate.model is not None and candidate.validation is not None and candidate.recipe is not None
    counts: Mapping[str, Any] = store.counts(candidate.model)
    if not counts:
        return ""
    name = candidate.cell.id
    if counts.get(VALIDATION_SET) != candidate.validation.node.key:
        return (
            f"{name}: its model is in the store, but was trained without these validation rows, so it has no loss by "
            f"which it could be chosen; remove {store.folder(candidate.model)}, and it is trained again"
        )
    trainer = f"{name}: its trainer {candidate.recipe.trainer!r}"
    losses = counts.get("validation_losses")
    if not losses or "steps" not in counts:
        return (
            f"{trainer} reports no validation losses, or not its steps, so no model can be chosen; use `select: none`"
        )
    if KEPT_STEP in counts and int(counts[KEPT_STEP]) not in {int(step) for step, _ in losses}:
        return f"{trainer} kept step {counts[KEPT_STEP]}, of which it reports no validation loss; use `select: none`"
    return ""
