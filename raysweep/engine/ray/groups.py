"""Decides on which type of accelerator the models of a group run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from raysweep.config.resources import ACCELERATOR_LABEL
from raysweep.engine.ray.nodes import NodeFacts
from raysweep.engine.ray.places import ALL, CellToPlace, Places
from raysweep.errors import UsageError
from raysweep.planning.needs import names_in


def pools_of_groups(
    cells: Iterable[CellToPlace],
    nodes: Mapping[str, NodeFacts],
    bound: Mapping[str, str] = MappingProxyType({}),
    *,
    may_grow: bool = False,
) -> dict[str, str]:
    """Return the pool of each group of cells with accelerators.

    A group that is bound keeps its pool. The others get the pool where all of its groups' work ends first: those that
    fewest pools can hold come first, and of these the ones with most work.

    Args:
        cells: with their groups; those without one are left out.
        nodes: the live nodes by their ids.
        bound: the pools of groups that are bound already.
        may_grow: an autoscaler may start nodes.

    Raises:
        UsageError: no pool can hold all cells of a group, or not the one that it is bound to.
    """
    groups: dict[str, list[CellToPlace]] = {}
    for cell in cells:
        if cell.group and cell.is_on_accelerators:
            groups.setdefault(cell.group, []).append(cell)
    gpus: dict[str, float] = {}
    for node in nodes.values():
        pool = node.labels.get(ACCELERATOR_LABEL, ALL)
        gpus[pool] = gpus.get(pool, 0.0) + node.resources.get("GPU", 0.0)
    chosen: dict[str, str] = {}
    load: dict[str, float] = {}

    def work(group: str, pool: str) -> float:
        return sum(cell.expected(pool) * cell.accelerators for cell in groups[group])

    def end(group: str, pool: str) -> tuple[bool, float, float]:
        there = gpus.get(pool, 0.0)
        return not there, (load.get(pool, 0.0) + work(group, pool)) / max(there, 1.0), -there

    usable: dict[str, list[str]] = {}
    for group, own in groups.items():
        places = Places(own, may_grow=may_grow)
        places.set_nodes(nodes)
        usable[group] = [pool for pool in places.pools_for(own) if group not in bound or pool == bound[group]]
        if not usable[group] and may_grow and group in bound and all(_may_use(cell, bound[group]) for cell in own):
            usable[group] = [bound[group]]  # its nodes are to come again
        if not usable[group] and (not may_grow or group in bound):
            raise UsageError(_no_pool(group, own, bound, sorted(pool for pool, number in gpus.items() if number)))
    largest_first = sorted(groups, key=lambda group: -max(work(group, pool) for pool in [*gpus, ALL]))
    for group in sorted(largest_first, key=lambda group: (group not in bound, len(usable[group]))):
        if usable[group]:
            chosen[group] = min(usable[group], key=lambda pool: end(group, pool))
            load[chosen[group]] = load.get(chosen[group], 0.0) + work(group, chosen[group])
    return chosen


def _may_use(cell: CellToPlace, pool: str) -> bool:
    """Return True if the labels that a cell asks for allow a pool, whether it has nodes or not."""
    named = [names_in(needs.labels.get(ACCELERATOR_LABEL, "")) for needs, _ in cell.stages_on_accelerators]
    return all(pool in names for names in named if names)


def _no_pool(group: str, cells: Sequence[CellToPlace], bound: Mapping[str, str], there: Sequence[str]) -> str:
    named = ", ".join(cell.id for cell in cells[:3]) + (f" and {len(cells) - 3} more cells" if len(cells) > 3 else "")
    known = ", ".join(pool or "accelerators without a label" for pool in there) or "none"
    if group in bound:
        what = f"were begun on {bound[group] or 'accelerators without a label'}, which can't hold them all now"
    else:
        what = "run on one type of accelerator, and no type can hold them all"
    return (
        f"the models of group {group!r} ({named}) {what} (there is: {known}); change `accelerator` or the resources, "
        "give models another `pin_group`, or mix them knowingly with `resources.allow_mixed: true`"
    )
