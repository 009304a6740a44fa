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
    """`cells`: each must fit somewhere. `stages`: of each cell, in order."""
    playing = _Playing(cells, stages, nodes, pools)
    while playing.start_stages():
        playing.end_stage()
    return Played(playing.now, playing.pool_of, playing.ends, playing.gpu_hours)


class _Playing:
    """A sweep while it is played; the arguments are those of `play`, the attributes those of `Played`."""

    def __init__(
        self,
        cells: Sequence[CellToPlace],
        stages: Mapping[str, Sequence[StageToPlay]],
        nodes: Mapping[str, NodeFacts],
        pools: Mapping[str, str],
    ) -> None:
        self.now = 0.0  # hours since its start
        self.pool_of: dict[str, str] = {}
        self.ends: dict[str, float] = {}
        self.gpu_hours = dict.fromkeys(stages, 0.0)
        self._places = Places(cells, pools)
        self._places.set_nodes(nodes)
        self._left = {name: list(stages_of_cell) for name, stages_of_cell in stages.items()}
        self._waiting: set[str] = set()
        self._running: list[tuple[float, str]] = []  # a heap: when the stage of a cell ends

    def start_stages(self) -> bool:
        """Start the cells whose turn it is, and the stages that get places; return False if none runs then."""
        while (turn := self._places.next_cell()) is not None:
            name, self.pool_of[name] = turn
            self._request(name)
        self._places.grant()
        for name in [name for name in self._waiting if self._places.is_placed(name)]:
            self._waiting.remove(name)
            self._begin(name)
        return bool(self._running)

    def end_stage(self) -> None:
        self.now, name = heapq.heappop(self._running)
        self._left[name].pop(0)
        if not self._left[name]:
            self._places.end(name)
            self.ends[name] = self.now
        elif self._left[name][0].keeps:
            self._begin(name)
        else:
            self._places.release(name)
            self._request(name)

    def _request(self, name: str) -> None:
        stage = self._left[name][0]
        self._places.request(name, name, stage.needs, stage.number)
        self._waiting.add(name)

    def _begin(self, name: str) -> None:
        stage = self._left[name][0]
        hours = hours_in(self.pool_of[name], stage.hours, not stage.needs.gpus) or 0.0
        self.gpu_hours[name] += hours * stage.number * stage.needs.gpus
        heapq.heappush(self._running, (self.now + hours, name))
