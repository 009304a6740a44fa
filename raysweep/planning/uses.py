"""Lists what a sweep uses, for `raysweep.storage.uses`: the artefacts of its plan, and models that it names by path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from raysweep.planning.missing import walk
from raysweep.planning.plan import ArtefactPlan, CellArtefactPlan, ModelPlan, ResultsPlan, SelectionPlan
from raysweep.records import ModelRef
from raysweep.storage.store import Store
from raysweep.storage.uses import Use


def uses_of(plans: Iterable[ArtefactPlan], store: Store) -> list[Use]:
    """Return what a sweep with these artefacts uses: they and their dependencies, and their units of work.

    A base model whose path lies in the store is used too, though it is no dependency: `raysweep evaluate` names models
    of other sweeps in this way.
    """
    targets = list(plans)
    uses: dict[tuple[str, ...], Use] = {}  # a candidate of several selections has a use of each
    for plan in walk(targets):
        assert plan.node is not None
        node, unit = plan.node, plan.unit
        if isinstance(plan, SelectionPlan):
            for candidate in plan.selection.candidates:
                if (model := candidate.model) is not None:
                    droppable, passing = not candidate.keeps_model, not candidate.keeps_unchosen
                    use = Use(model.stage, model.key, model.label, "", droppable, node.key, passing)
                    uses[model.key, node.key] = use
        if not isinstance(plan, ModelPlan):
            uses[node.key,] = Use(node.stage, node.key, node.label, _judged(plan))
            uses.setdefault((unit.key,), Use(unit.stage, unit.key, unit.label))
    cells = {plan.task: plan.cell for plan in targets if isinstance(plan, CellArtefactPlan)}.values()
    for cell in cells:
        if (model := cell.model) is not None and not cell.is_candidate:
            uses[model.key,] = Use(model.stage, model.key, model.label, droppable=not cell.keeps_model)
    for base in {cell.base.name: cell.base for cell in cells}.values():
        for stage, key in _in_store(base.ref, store):
            uses[key,] = Use(stage, key, f"the model of {base.name}")
    return list(uses.values())


def _judged(plan: ArtefactPlan) -> str:
    """Return the key of the model, or of the choice of it, whose completions a plan judges."""
    if not isinstance(plan, ResultsPlan):
        return ""
    writer = plan.cell.writer
    return writer.key if writer else ""


def _in_store(ref: ModelRef | None, store: Store) -> Iterator[tuple[str, str]]:
    """Yield stage and key of a model, and of an adapter's base, whose folders are artefacts of the store."""
    top = store.scratch.resolve()
    while ref is not None:
        path = Path(ref.location).resolve()
        parts = path.relative_to(top).parts if path.is_relative_to(top) else ()
        if len(parts) == 4 and parts[0] == "artefacts":
            yield parts[1], parts[3]
        ref = ref.base
