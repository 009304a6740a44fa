"""Decides on which type of accelerator the models of a group run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from raysweep.config.resources import ACCELERATOR_LABEL
from raysweep.engine.ray.nodes import NodeFacts
from raysweep.engine.ray.places import ALL, CellToPlace, Places
from raysweep.errors import UsageError


def pools_of_groups(
    cells: Iterable[CellToPlace],
    nodes: Mapping[str, NodeFacts],
    bound: Mapping[str, str] = MappingProxyType({}),
    *,
    may_grow: bool = False,
) -> dict[str, str]:
    """Return the pool of each group of cells with accelerators.

    A group that is bound keeps its pool. The others get the pool where all of its groups' work ends first: those that
    fewest pools can hold come first, and of these the ones with most work. Ray doesn't say which types an autoscaler
    could start. So a group gets one that has no node yet only if its cells name it.

    Args:
        cells: with their groups. One without a group may run anywhere, but somewhere it must.
        nodes: the live nodes by their ids.
        bound: the pools of groups that are bound already.
        may_grow: an autoscaler may start nodes.

    Raises:
        UsageError: no pool can hold all cells of a group, or not the one that it is bound to.
    """
    groups: dict[str, list[CellToPlace]] = {}
    alone: dict[str, list[CellToPlace]] = {}  # cells without a group, by what they ask for
    for cell in cells:
        if cell.is_on_accelerators and cell.group:
            groups.setdefault(cell.group, []).append(cell)
        elif cell.is_on_accelerators and not may_grow:
            alone.setdefault(repr(cell.needs), []).append(cell)
    gpus: dict[str, float] = {}
    for node in nodes.values():
        if number := node.resources.get("GPU", 0.0):
            pool = node.labels.get(ACCELERATOR_LABEL, ALL)
            gpus[pool] = gpus.get(pool, 0.0) + number
    chosen: dict[str, str] = {}
    load: dict[str, float] = {}

    def work(group: str, pool: str) -> float:
        return sum(cell.expected(pool) * cell.accelerators for cell in groups[group])

    def end(group: str, pool: str) -> tuple[bool, float, float]:
        there = gpus.get(pool, 0.0)
        return not there, (load.get(pool, 0.0) + work(group, pool)) / max(there, 1.0), -there

    for likes in alone.values():
        stages = likes[0].stages_on_accelerators
        if not all(any(not needs.unfit_for(pool) for pool in gpus) for needs, _ in stages):
            raise UsageError(f"no accelerator can run {_named(likes)} ({_there(likes, sorted(gpus))})")
    usable: dict[str, list[str]] = {}
    for group, own in groups.items():
        candidates = [bound[group]] if group in bound else sorted(gpus)
        usable[group] = _usable(own, nodes, candidates, may_grow, is_bound=group in bound)
        if not usable[group]:
            raise UsageError(_no_pool(group, own, bound, sorted(gpus), may_grow))
    largest_first = sorted(groups, key=lambda group: -max(work(group, pool) for pool in [*gpus, ALL]))
    for group in sorted(largest_first, key=lambda group: (group not in bound, len(usable[group]))):
        chosen[group] = min(usable[group], key=lambda pool: end(group, pool))
        load[chosen[group]] = load.get(chosen[group], 0.0) + work(group, chosen[group])
    return chosen


def _usable(
    cells: Sequence[CellToPlace],
    nodes: Mapping[str, NodeFacts],
    candidates: Sequence[str],
    may_grow: bool,
    is_bound: bool = False,
) -> list[str]:
    """Return the pools that can hold each of these cells: of some candidates, and of those that the cells name.

    Args:
        cells: all of one group.
        nodes: the live nodes by their ids.
        candidates: pools with live nodes, or the one that the cells are bound to.
        may_grow: an autoscaler may start nodes of the types that are named, and of the one that the cells are bound to.
        is_bound: no pool but the candidate is to be had.
    """
    places = Places(cells)
    places.set_nodes(nodes)
    held = set(places.pools_for(cells))
    to_come: list[str] = []
    if may_grow:
        lists = [cell.named for cell in cells if cell.named is not None]
        named = [name for name in (lists or [[]])[0] if all(name in names for names in lists)]
        to_come = list(candidates) if is_bound else named
    to_come = [pool for pool in to_come if not any(cell.lacks(pool) for cell in cells)]
    return [*(pool for pool in candidates if pool in held), *(pool for pool in to_come if pool not in held)]


def _named(cells: Sequence[CellToPlace]) -> str:
    return ", ".join(cell.id for cell in cells[:3]) + (f" and {len(cells) - 3} more cells" if len(cells) > 3 else "")


def _there(cells: Sequence[CellToPlace], pools: Sequence[str]) -> str:
    """Return the types that are there, each with what it lacks for some cells."""
    found = []
    for pool in pools:
        lacking = next((reason for cell in cells if (reason := cell.lacks(pool))), "")
        found.append((pool or "accelerators without a label") + (f", which {lacking}" if lacking else ""))
    return f"there is: {'; '.join(found) or 'none'}"


def _no_pool(
    group: str, cells: Sequence[CellToPlace], bound: Mapping[str, str], pools: Sequence[str], may_grow: bool
) -> str:
    who, there = f"the models of group {group!r} ({_named(cells)})", _there(cells, pools)
    ways = (
        "change `accelerator` or the resources, give models another `pin_group`, or mix them knowingly with "
        "`resources.allow_mixed: true`"
    )
    if group in bound:
        begun = bound[group] or "accelerators without a label"
        return f"{who} were begun on {begun}, which can't hold them all now ({there}); {ways}"
    if may_grow and all(cell.named is None for cell in cells):
        return (
            f"{who} need accelerators, no node that is there now can hold them all ({there}), and Ray doesn't say "
            "which ones its autoscaler could start; name a type, by `accelerator: A100` of the models or, for all, by "
            f"`--set 'resources.labels={{{ACCELERATOR_LABEL}: A100}}'`, or take any with `resources.allow_mixed: true`"
        )
    return f"{who} run on one type of accelerator, and no type can hold them all ({there}); {ways}"
