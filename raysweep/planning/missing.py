"""Compares plans with a store: lists the missing artefacts in build order, and discards damaged ones."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from raysweep.planning.choice import chosen_inputs, is_of_choice
from raysweep.planning.plan import ArtefactPlan, CellArtefactPlan, CellPlan, SelectionPlan
from raysweep.storage.artefacts import ENDED, damage_text
from raysweep.storage.store import Store
from raysweep.storage.verdicts import level_of

log = logging.getLogger("raysweep")


def walk(plans: Iterable[ArtefactPlan]) -> Iterator[ArtefactPlan]:
    """Yield the plans and all their dependencies, each once, dependencies first."""
    seen: set[str] = set()

    def visit(plans: Iterable[ArtefactPlan]) -> Iterator[ArtefactPlan]:
        for plan in plans:
            if (node := plan.node) is not None and node.key not in seen:
                seen.add(node.key)
                yield from visit(plan.inputs)
                yield plan

    return visit(plans)


def is_made(plan: ArtefactPlan, store: Store) -> bool:
    """Return True if an artefact is complete, undamaged, and made with at least the isolation level required now.

    It must be of the model that is chosen now, too, where there is a choice. What a cell that has ended early
    (`end_of`) will never have counts as made.
    """
    return plan.node is None or (store.has(plan.node) and _counts(plan, store)) or _is_given_up(plan, store)


def end_of(cell: CellPlan, store: Store) -> str:
    """Return why a cell has ended without results, though nothing failed; empty if it hasn't.

    There is no edit example from which its model could be edited, or an edit's own samples show no difference between
    the prompts of the pair.
    """
    if cell.pair_search is None:
        return ""
    known = [node for node in (cell.pair_search.node, cell.model) if node is not None and store.has(node)]
    return why_ended(map(store.counts, known))


def why_ended(counts: Iterable[Mapping[str, Any]]) -> str:
    return next((str(of[ENDED]) for of in counts if of.get(ENDED)), "")


def _is_given_up(plan: ArtefactPlan, store: Store) -> bool:
    return isinstance(plan, CellArtefactPlan) and bool(end_of(plan.cell, store))


def _counts(plan: ArtefactPlan, store: Store) -> bool:
    """Return True if an artefact that is there was made at the level required now, and by the model chosen now."""
    if plan.node is None or plan.level is None:
        return is_of_choice(plan, store)
    level = level_of(str(store.counts(plan.node).get("level", "")))
    return level >= plan.level and is_of_choice(plan, store)


def missing(plans: Iterable[ArtefactPlan], store: Store, *, repair: bool = False) -> list[ArtefactPlan]:
    """Return the artefacts, of these and their dependencies, that the store lacks, dependencies first.

    The dependencies of an existing artefact are not needed: a cell whose model exists needs no training set. Artefacts
    that two cells have in common, such as two names for one generator, are listed for both.

    `repair`: also return damaged artefacts that no missing one needs.
    """
    targets = list(plans)
    known = {plan.node.key: plan for plan in (walk(targets) if repair else targets) if plan.node}
    exists = store.survey(plan.node for plan in known.values() if plan.node)
    if repair:
        damaged = store.survey_damage(plan.node for key, plan in known.items() if plan.node and not exists[key])
        targets += [known[key] for key, is_damaged in damaged.items() if is_damaged]
    lacking: list[ArtefactPlan] = []
    seen: set[tuple[str, str]] = set()

    def visit(plans: Iterable[ArtefactPlan]) -> None:
        for plan in plans:
            node = plan.node
            if node is None or (name := (plan.task, node.key)) in seen:
                continue
            seen.add(name)
            is_there = exists[node.key] if node.key in exists else store.has(node)
            if is_there and isinstance(plan, SelectionPlan):
                visit(chosen_inputs(plan, store))
            if not (is_there and _counts(plan, store)) and not _is_given_up(plan, store):
                visit((*plan.inputs, *chosen_inputs(plan, store)))
                lacking.append(plan)

    visit(targets)
    return lacking


def discard_damaged(plans: Iterable[ArtefactPlan], store: Store) -> None:
    """Remove damaged artefacts from the store, so that they are made again; log a warning for each.

    The plans' dependencies are looked at too. An artefact that a process is making or dropping at this moment looks
    damaged; it is left to that process.
    """
    for plan in walk(plans):
        if plan.node and store.is_damaged(plan.node) and not store.is_being_made(plan.unit):
            damage = store.discard_if_damaged(plan.node)
            if damage:
                log.warning("%s", damage_text(plan.node, damage))


def by_cell(plans: Iterable[ArtefactPlan]) -> list[tuple[CellPlan, list[CellArtefactPlan]]]:
    """Group artefacts that belong to cells by their cell, in order; leave out those that cells share."""
    groups: dict[str, tuple[CellPlan, list[CellArtefactPlan]]] = {}
    for plan in plans:
        if isinstance(plan, CellArtefactPlan):
            groups.setdefault(plan.task, (plan.cell, []))[1].append(plan)
    return list(groups.values())


def awaited_tasks(plans: Iterable[ArtefactPlan], among: Collection[str], store: Store | None = None) -> tuple[str, ...]:
    """Return the ids of those of the given tasks that make direct inputs of the plans, in the plans' order.

    `store`: knows which models were chosen for cells; without it the plans are those of no cell.
    """
    items = (item for plan in plans for item in (*plan.inputs, *(chosen_inputs(plan, store) if store else ())))
    names = [item.task for item in items if item.node is not None]
    return tuple(dict.fromkeys(name for name in names if name in among))
