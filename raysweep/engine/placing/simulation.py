"""Plays a sweep on a cluster without running it: every decision is that of `Places`, stages end after their hours."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raysweep.engine.placing.cells import CellToPlace, hours_in
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.placing.places import Places
from raysweep.planning.predictions.needs import Needs


@dataclass(frozen=True)
class StageToPlay:
    """A stage of a cell. `number`: of its processes; `hours`: until it ends, by type of accelerator.

    `keeps`: it works with what the stage before it held, since both run in the trial's process.
    """

    needs: Needs
    number: int
    hours: Mapping[str, float]
    keeps: bool = False


@dataclass(frozen=True)
class Played:
    """How a sweep went. Hours count from its start. A cell that fits nowhere, or waits behind one, has no end."""

    makespan: float
    pools: Mapping[str, str]  # by cell
    ends: Mapping[str, float]  # by cell
    gpu_hours: Mapping[str, float] = field(default_factory=dict)  # by cell, those of all processes together


def play(
    cells: Sequence[CellToPlace],
    stages: Mapping[str, Sequence[StageToPlay]],
    nodes: Mapping[str, NodeFacts],
    pools: Mapping[str, str],
) -> Played:
    """Play a sweep and return how it went.

    Args:
        cells: that are to run; each must fit somewhere.
        stages: of each cell, in order.
        nodes: of the cluster, by their ids.
        pools: of groups of cells (`pools_of_groups`).
    """
    places, now = Places(cells, pools), 0.0
    places.set_nodes(nodes)
    left = {name: list(each) for name, each in stages.items()}
    pool_of: dict[str, str] = {}
    ends: dict[str, float] = {}
    gpu_hours = dict.fromkeys(left, 0.0)
    waiting: set[str] = set()
    running: list[tuple[float, str]] = []

    def begin(name: str) -> None:
        stage = left[name][0]
        hours = hours_in(pool_of[name], stage.hours, not stage.needs.gpus) or 0.0
        gpu_hours[name] += hours * stage.number * stage.needs.gpus
        heapq.heappush(running, (now + hours, name))

    while True:
        while (turn := places.next_cell()) is not None:
            name, pool_of[name] = turn
            places.request(name, name, left[name][0].needs, left[name][0].number)
            waiting.add(name)
        places.grant()
        for name in [name for name in waiting if places.is_placed(name)]:
            waiting.remove(name)
            begin(name)
        if not running:
            return Played(now, pool_of, ends, gpu_hours)
        now, name = heapq.heappop(running)
        left[name].pop(0)
        if not left[name]:
            places.end(name)
            ends[name] = now
        elif left[name][0].keeps:
            begin(name)
        else:
            places.release(name)
            places.request(name, name, left[name][0].needs, left[name][0].number)
            waiting.add(name)
