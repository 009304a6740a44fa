"""What a store knows of choices: which of its candidates' models is that of a cell, and what another one has written.

Keys of completions and of what is made of them depend on the choice, not on what was chosen. Where models are lost and
trained again, another one may be chosen, since training rounds differently on other accelerators. So the manifests of
such artefacts name the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from raysweep.planning.plan import (
    ArtefactPlan,
    CellPlan,
    CompletionsPlan,
    ModelPlan,
    QualityPlan,
    ResultsPlan,
    SelectionPlan,
)
from raysweep.storage.artefacts import Artefact
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


def chosen_count(cell: CellPlan, store: Store) -> Mapping[str, str]:
    """Return what manifests of completions, and of what is made of them, say of a choice; nothing without one."""
    chosen = chosen_of(cell, store)
    return {CHOSEN: chosen.model.key} if chosen and chosen.model else {}


def writer_before(cell: CellPlan, node: Artefact, store: Store) -> CellPlan | None:
    """Return the candidate by which a cell's artefact was made, where another one is chosen now; else None."""
    key = store.counts(node).get(CHOSEN) if cell.selection else None
    if cell.selection is None or key is None or key == chosen_count(cell, store).get(CHOSEN, key):
        return None
    return next(one for one in cell.selection.candidates if one.model is not None and one.model.key == key)


def is_of_choice(plan: ArtefactPlan, store: Store) -> bool:
    """Return False for an artefact that was made by another model than the one that is chosen now.

    What is made after the cells counts so, too, as long as none is chosen: the run that chooses lists it before.
    """
    if not isinstance(plan, CompletionsPlan | ResultsPlan | QualityPlan) or plan.node is None:
        return True
    if plan.after_cells and plan.cell.selection and not store.has(plan.cell.selection.node):
        return False
    return writer_before(plan.cell, plan.node, store) is None
