"""Decides on which type of accelerator the models of a group run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from raysweep.accelerators import ACCELERATOR_LABEL, NO_LABEL, data_sheet_of, similar_type
from raysweep.engine.placing.cells import UNLABELLED, CellToPlace
from raysweep.engine.placing.fits import CHANGES, IdleNodes
from raysweep.errors import UsageError, did_you_mean
from raysweep.units import first_of

log = logging.getLogger("raysweep")


def pools_of_groups(
    cells: Iterable[CellToPlace], idle: IdleNodes, bound: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """Return the pool of each group of cells with accelerators; log a warning for types that may be misspelt.

    A group that is bound keeps its pool. The others get the pool where all of its groups' work ends first: those that
    fewest pools can hold come first, and of these the ones with most work. Ray doesn't say which types an autoscaler
    could start. So a group gets one that has no node yet only if its cells name it.

    `bound`: the pools of groups that are bound already.

    Raises:
        UsageError: no pool can hold all cells of a group, or not the one that it is bound to; or a cell without a group
            can run nowhere.
    """
    groups: dict[str, list[CellToPlace]] = {}
    alone: dict[str, list[CellToPlace]] = {}  # cells without a group, by what they ask for
    for cell in cells:
        if cell.is_on_accelerators and cell.group:
            groups.setdefault(cell.group, []).append(cell)
        elif cell.is_on_accelerators:
            alone.setdefault(repr(cell.needs), []).append(cell)
    for likes in alone.values():
        if not idle.can_run_somewhere(likes[0]):
            raise UsageError(f"no accelerator can run {_names(likes)} ({idle.types_text(likes)}); {CHANGES}")
    firsts = [likes[0] for likes in alone.values()]
    _warn_of_unusual_types(idle, [*firsts, *(cell for members in groups.values() for cell in members)])
    held: dict[str, list[str]] = {}
    to_come: dict[str, list[str]] = {}
    for group, members in groups.items():
        held[group] = idle.types_for(members, bound.get(group))
        to_come[group] = [pool for pool in idle.types_to_come(members, bound.get(group)) if pool not in held[group]]
        if not held[group] and not to_come[group]:
            raise UsageError(_no_pool(group, members, bound, idle))
    return _shared_out(groups, held, to_come, bound, idle.accelerators)


def warn_of_absent(pools: Mapping[str, str], idle: IdleNodes, records: Mapping[str, str]) -> None:
    """Log a warning for each group whose accelerators have no live node. `records`: paths of groups' pin records."""
    for group, pool in pools.items():
        if pool not in idle.accelerators:
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


def _warn_of_unusual_types(idle: IdleNodes, cells: Iterable[CellToPlace]) -> None:
    live = {*idle.accelerators} - {UNLABELLED}
    for name in idle.absent_types(cells):
        near = did_you_mean(name, live)
        if not idle.may_grow or (near and data_sheet_of(name) is None):
            log.warning("%s has no %s%s, which cells name", idle.where, name, near)
    for name in sorted(live):
        if near := similar_type(name):
            log.warning(
                "nothing is known of %s, a type of %s%s: its memory isn't checked, nor its hours counted",
                name,
                idle.where,
                near,
            )


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


def _no_pool(group: str, cells: Sequence[CellToPlace], bound: Mapping[str, str], idle: IdleNodes) -> str:
    who, types = f"the models of group {group!r} ({_names(cells)})", idle.types_text(cells)
    ways = (
        "change `accelerator` or the resources, give models another `pin_group`, or mix them knowingly with "
        "`resources.allow_mixed: true`"
    )
    if group in bound:
        begun = bound[group] or NO_LABEL
        return f"{who} were begun on {begun}, which can't hold them all now ({types}); {ways}"
    if idle.may_grow and all(cell.named is None for cell in cells):
        return (
            f"{who} need accelerators, no node that is there now can hold them all ({types}), and Ray doesn't say "
            "which ones its autoscaler could start; name a type, by `accelerator: A100` of the models or, for all, by "
            f"`--set 'resources.labels={{{ACCELERATOR_LABEL}: A100}}'`, or take any with `resources.allow_mixed: true`"
        )
    return f"{who} run on one type of accelerator, and no type can hold them all ({types}); {ways}"
