"""Decides on which type of accelerator the models of a group run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from raysweep.accelerators import ACCELERATOR_LABEL, NO_LABEL, data_sheet_of, similar_type
from raysweep.engine.placing.cells import ANY, UNLABELLED, CellToPlace
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.placing.places import Places
from raysweep.errors import UsageError, did_you_mean
from raysweep.planning.predictions.needs import names_in
from raysweep.units import first_of

log = logging.getLogger("raysweep")


def pools_of_groups(
    cells: Iterable[CellToPlace],
    nodes: Mapping[str, NodeFacts],
    bound: Mapping[str, str] = MappingProxyType({}),
    *,
    may_grow: bool = False,
    where: str = "the Ray cluster",
) -> dict[str, str]:
    """Return the pool of each group of cells with accelerators; log a warning for types that may be misspelt.

    A group that is bound keeps its pool. The others get the pool where all of its groups' work ends first: those that
    fewest pools can hold come first, and of these the ones with most work. Ray doesn't say which types an autoscaler
    could start. So a group gets one that has no node yet only if its cells name it.

    Args:
        cells: with their groups. One without a group may run anywhere, but somewhere it must.
        nodes: the live nodes by their ids.
        bound: the pools of groups that are bound already.
        may_grow: an autoscaler may start nodes.
        where: a name for the nodes, for messages.

    Raises:
        UsageError: no pool can hold all cells of a group, or not the one that it is bound to; or a cell without a group
            can run nowhere.
    """
    there = _Nodes(nodes, may_grow, where)
    groups: dict[str, list[CellToPlace]] = {}
    alone: dict[str, list[CellToPlace]] = {}  # cells without a group, by what they ask for
    for cell in cells:
        if cell.is_on_accelerators and cell.group:
            groups.setdefault(cell.group, []).append(cell)
        elif cell.is_on_accelerators:
            alone.setdefault(repr(cell.needs), []).append(cell)
    for likes in alone.values():
        if not there.may_run(likes[0]):
            raise UsageError(
                f"no accelerator can run {_names(likes)} ({there.text(likes)}); change `accelerator` or `resources` of "
                "the model, or `precision` or `workers` of the recipe, or add nodes"
            )
    there.tell_unusual_types([*(own[0] for own in alone.values()), *(cell for own in groups.values() for cell in own)])
    held: dict[str, list[str]] = {}
    to_come: dict[str, list[str]] = {}
    for group, own in groups.items():
        held[group] = there.holding(own, bound.get(group))
        to_come[group] = [pool for pool in there.to_come(own, bound.get(group)) if pool not in held[group]]
        if not held[group] and not to_come[group]:
            raise UsageError(_no_pool(group, own, bound, there))
    return _shared_out(groups, held, to_come, bound, there.gpus)


def tell_absent(pools: Mapping[str, str], nodes: Mapping[str, NodeFacts], records: Mapping[str, str]) -> None:
    """Log a warning for each group of models whose accelerators have no live node, so that it waits for an autoscaler.

    Args:
        pools: of the groups.
        nodes: the live nodes by their ids.
        records: where the choice is written down of those groups that earlier runs have bound.
    """
    there = _accelerators(nodes)
    for group, pool in pools.items():
        if pool not in there:
            why = f", which {records[group]} binds them to" if group in records else ""
            more = " and another `pin_group`" if group in records else ""
            log.warning(
                "the models of group %r wait until the autoscaler starts nodes with %s%s; if it never does, give them "
                "another `accelerator`%s",
                group,
                pool or NO_LABEL,
                why,
                more,
            )


def _accelerators(nodes: Mapping[str, NodeFacts]) -> dict[str, float]:
    """Return the number of accelerators on live nodes by pool."""
    found: dict[str, float] = {}
    for node in nodes.values():
        if number := node.resources.get("GPU", 0.0):
            pool = node.labels.get(ACCELERATOR_LABEL, UNLABELLED)
            found[pool] = found.get(pool, 0.0) + number
    return found


class _Nodes:
    """The live nodes. `gpus`: number of accelerators by pool."""

    def __init__(self, nodes: Mapping[str, NodeFacts], may_grow: bool, where: str) -> None:
        self.may_grow, self._where, self._live = may_grow, where, Places()
        self._live.set_nodes(nodes)
        self.gpus = _accelerators(nodes)

    def holding(self, cells: Sequence[CellToPlace], bound: str | None = None) -> list[str]:
        """Return the pools that can hold all cells of a group, of the one that it is bound to or of all."""
        candidates = sorted(self.gpus) if bound is None else [bound]
        return [pool for pool in candidates if all(self._live.can_run(cell, pool) for cell in cells)]

    def to_come(self, cells: Sequence[CellToPlace], bound: str | None) -> list[str]:
        """Return the types that an autoscaler may start for a group: its pin, or those that all of its cells name."""
        if not self.may_grow:
            return []
        lists = [cell.named for cell in cells if cell.named is not None]
        names = [name for name in (lists or [[]])[0] if all(name in others for others in lists)]
        candidates = names if bound is None else [bound]
        return [pool for pool in candidates if not any(cell.lacks(pool) for cell in cells)]

    def may_run(self, cell: CellToPlace) -> bool:
        """Return True if each stage of a cell without a group fits somewhere, or on what an autoscaler may start."""
        for needs, number in cell.stages_on_accelerators:
            names = names_in(needs.labels.get(ACCELERATOR_LABEL, ""))
            may_come = self.may_grow and (not names or any(not needs.unfit_for(name) for name in names))
            if not may_come and not self._live.room.capacity(ANY, needs, number):
                return False
        return True

    def text(self, cells: Sequence[CellToPlace]) -> str:
        """Return the types that are there, each with what it lacks for some cells, and unfit ones that cells name."""
        found, pools, fitting = [], sorted(self.gpus), self.holding(cells)
        for pool in pools:
            lacking = next(filter(None, (cell.lacks(pool) for cell in cells)), "")
            if not lacking and pool not in fitting:
                lacking = "has no room for all that they ask for at a time"
            found.append((pool or NO_LABEL) + (f", which {lacking}" if lacking else ""))
        lacks = {name: next(filter(None, (cell.lacks(name) for cell in cells)), "") for name in self._absent(cells)}
        others = [f"{name} is named, but {lacking}" for name, lacking in lacks.items() if lacking]
        return "; ".join([f"{self._where} has: {'; '.join(found) or 'none'}", *others])

    def tell_unusual_types(self, cells: Iterable[CellToPlace]) -> None:
        """Log a warning for types that cells name and no node has, and for nodes' types that may be misspelt."""
        live = {*self.gpus} - {UNLABELLED}
        for name in self._absent(cells):
            near = did_you_mean(name, live)
            if not self.may_grow or (near and data_sheet_of(name) is None):
                log.warning("%s has no %s%s, which cells name", self._where, name, near)
        for name in sorted(live):
            if near := similar_type(name):
                log.warning(
                    "nothing is known of %s, a type of %s%s: its memory isn't checked, nor its hours counted",
                    name,
                    self._where,
                    near,
                )

    def _absent(self, cells: Iterable[CellToPlace]) -> list[str]:
        """Return the types that cells name and no node has."""
        labels = {needs.labels.get(ACCELERATOR_LABEL, "") for cell in cells for needs, _ in cell.stages_on_accelerators}
        return sorted({name for label in labels for name in names_in(label)} - {*self.gpus})


def _shared_out(
    groups: Mapping[str, Sequence[CellToPlace]],
    held: Mapping[str, list[str]],
    to_come: Mapping[str, list[str]],
    bound: Mapping[str, str],
    gpus: Mapping[str, float],
) -> dict[str, str]:
    """Return a pool for each group: of those that hold it, or else of those to come, the one that is done first."""
    chosen: dict[str, str] = {}
    load: dict[str, float] = {}

    def work(group: str, pool: str) -> float:
        return sum(cell.expected(pool) * cell.accelerators for cell in groups[group])

    def end(group: str, pool: str) -> tuple[bool, float, float]:
        number = gpus.get(pool, 0.0)
        return pool not in held[group], (load.get(pool, 0.0) + work(group, pool)) / max(number, 1.0), -number

    usable = {group: held[group] + to_come[group] for group in groups}
    largest_first = sorted(groups, key=lambda group: -max(work(group, pool) for pool in [*gpus, UNLABELLED]))
    for group in sorted(largest_first, key=lambda group: (group not in bound, len(usable[group]))):
        chosen[group] = min(usable[group], key=lambda pool: end(group, pool))
        load[chosen[group]] = load.get(chosen[group], 0.0) + work(group, chosen[group])
    return chosen


def _names(cells: Sequence[CellToPlace]) -> str:
    return first_of([cell.id for cell in cells], "cell")


def _no_pool(group: str, cells: Sequence[CellToPlace], bound: Mapping[str, str], there: _Nodes) -> str:
    who, types = f"the models of group {group!r} ({_names(cells)})", there.text(cells)
    ways = (
        "change `accelerator` or the resources, give models another `pin_group`, or mix them knowingly with "
        "`resources.allow_mixed: true`"
    )
    if group in bound:
        begun = bound[group] or NO_LABEL
        return f"{who} were begun on {begun}, which can't hold them all now ({types}); {ways}"
    if there.may_grow and all(cell.named is None for cell in cells):
        return (
            f"{who} need accelerators, no node that is there now can hold them all ({types}), and Ray doesn't say "
            "which ones its autoscaler could start; name a type, by `accelerator: A100` of the models or, for all, by "
            f"`--set 'resources.labels={{{ACCELERATOR_LABEL}: A100}}'`, or take any with `resources.allow_mixed: true`"
        )
    return f"{who} run on one type of accelerator, and no type can hold them all ({types}); {ways}"
