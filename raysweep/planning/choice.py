"""What a store knows of choices: which of its candidates' models is that of a cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from raysweep.planning.plan import ArtefactPlan, CellPlan, CompletionsPlan, ModelPlan, SelectionPlan
from raysweep.storage.store import Store
from raysweep.storage.uses import CHOSEN


def chosen_of(cell: CellPlan, store: Store) -> CellPlan | None:
    """Return the candidate whose model was chosen for a cell; None where none was yet, or there is no choice."""
    if cell.selection is None or not store.has(cell.selection.node):
        return None
    key = store.counts(cell.selection.node)[CHOSEN]
    return next(one for one in cell.selection.candidates if one.model is not None and one.model.key == key)


def with_choice(cell: CellPlan, store: Store) -> CellPlan:
    """Return a cell with the model and the recipe that were chosen for it; as it is where there is no choice."""
    chosen = chosen_of(cell, store)
    return replace(cell, model=chosen.model, recipe=chosen.recipe) if chosen else cell


def chosen_inputs(plan: ArtefactPlan, store: Store) -> Iterator[ArtefactPlan]:
    """Yield the chosen model where an artefact is made with it, or stays with it as long as the choice does."""
    if isinstance(plan, CompletionsPlan) or (isinstance(plan, SelectionPlan) and plan.cell.keeps_model):
        chosen = chosen_of(plan.cell, store)
        if chosen is not None and chosen.model is not None:
            yield ModelPlan(chosen.model, chosen)
