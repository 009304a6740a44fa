"""Lists what a sweep uses, for `raysweep.storage.uses`: the artefacts of its plan, and models that it names by path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from raysweep.planning.missing import walk
from raysweep.planning.plan import ArtefactPlan, CellArtefactPlan, ModelPlan, ResultsPlan
from raysweep.records import ModelRef
from raysweep.storage.store import Store
from raysweep.storage.uses import Use


def uses_of(plans: Iterable[ArtefactPlan], store: Store) -> list[Use]:
    """Return what a sweep with these artefacts uses: they and their dependencies, and their units of work.

    A base model whose path lies in the store is used too, though it is no dependency: `raysweep evaluate` names models
    of other sweeps in this way.
    """
    targets = list(plans)
    uses: dict[str, Use] = {}
    for plan in walk(targets):
        assert plan.node is not None
        node, unit = plan.node, plan.unit
        droppable = isinstance(plan, ModelPlan) and not plan.cell.keeps_model
        uses[node.key] = Use(node.stage, node.key, node.label, _judged(plan), droppable)
        uses.setdefault(unit.key, Use(unit.stage, unit.key, unit.label))
    bases = {plan.cell.base.name: plan.cell.base for plan in targets if isinstance(plan, CellArtefactPlan)}
    for base in bases.values():
        for stage, key in _in_store(base.ref, store):
            uses[key] = Use(stage, key, f"the model of {base.name}")
    return list(uses.values())


def _judged(plan: ArtefactPlan) -> str:
    """Return the key of the model whose completions a plan judges; empty if it is no artefact, or nothing is judged."""
    if not isinstance(plan, ResultsPlan):
        return ""
    model = plan.cell.model or plan.cell.base.node
    return model.key if model else ""


def _in_store(ref: ModelRef | None, store: Store) -> Iterator[tuple[str, str]]:
    """Yield stage and key of a model, and of an adapter's base, whose folders are artefacts of the store."""
    top = store.scratch.resolve()
    while ref is not None:
        path = Path(ref.location).resolve()
        parts = path.relative_to(top).parts if path.is_relative_to(top) else ()
        if len(parts) == 4 and parts[0] == "artefacts":
            yield parts[1], parts[3]
        ref = ref.base
