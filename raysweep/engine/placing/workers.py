"""Shares the workers that a cluster file allows out among its types of nodes, by what the cells need of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.placing.cells import ANY, CellToPlace
from raysweep.engine.placing.cluster_files import ClusterFile
from raysweep.engine.placing.fits import IdleNodes, unfit_cell
from raysweep.planning.predictions.needs import Needs


def workers_by_need(file: ClusterFile, cells: Sequence[CellToPlace], pools: Mapping[str, str]) -> dict[str, int]:
    """Return how many workers each type of nodes gets, if the file allows fewer than its types have together.

    First come the fewest on which each stage can run at all, and one without accelerators, which judges. Each further
    one goes to the type of accelerator that has most hours of work left for each of its accelerators, and the rest to
    nodes without. So accelerators that no cell needs aren't started.
    """
    sharing = _Sharing(file)
    if file.most_workers is None or sum(kind.most for kind in file.types) <= file.most_workers:
        return {kind.name: kind.most for kind in file.types}
    distinct = {(id(cell.needs), cell.group): cell for cell in cells}  # few cells ask for different things
    for cell in distinct.values():
        for _, needs, number in cell.needs.stages:
            sharing.make_room(pools.get(cell.group, ANY), needs, max(number, 1))
    judging = [kind.name for kind in file.types if not kind.node.resources.get("GPU")] or list(sharing.numbers)
    if not any(sharing.numbers[name] for name in judging):
        sharing.add_one(judging)
    sharing.add_for(_work(cells, pools, sharing.kinds))
    while sharing.add_one(judging):
        pass
    return sharing.numbers


def _work(cells: Sequence[CellToPlace], pools: Mapping[str, str], kinds: IdleNodes) -> dict[str, float]:
    """Return the hours of all accelerators together by their type; a cell that may choose adds a part to each type."""
    work = dict.fromkeys(kinds.accelerators, 0.0)
    for cell in cells:
        if cell.is_on_accelerators:
            usable = [pools[cell.group]] if cell.group else [name for name in work if not unfit_cell(cell, name)]
            for name in usable:
                work[name] += cell.expected(name) * cell.accelerators / len(usable)
    return work


class _Sharing:
    """Workers while they are shared out."""

    def __init__(self, file: ClusterFile) -> None:
        self.kinds = IdleNodes({kind.name: kind.node for kind in file.types})  # one node of each type, by its name
        self.numbers = {kind.name: 0 for kind in file.types}  # of the workers of each type so far
        self._most = {kind.name: kind.most for kind in file.types}
        self._fixed = {kind.name: kind.fixed for kind in file.types}
        self._left = file.most_workers or 0

    def make_room(self, pool: str, needs: Needs, number: int) -> None:
        times = {name: needs.times_in(self.kinds.nodes[name].resources) for name in self.kinds.usable(needs, pool)}
        lacking = number - sum(self._nodes(name) * here for name, here in times.items())
        for name in sorted(times, key=self._accelerators):
            while times[name] and lacking > 0 and self.add_one([name]):
                lacking -= times[name]

    def add_one(self, names: Collection[str]) -> bool:
        allowed = [name for name in names if self.numbers[name] < self._most[name]]
        if not allowed or not self._left:
            return False
        self.numbers[min(allowed, key=lambda name: self.numbers[name])] += 1
        self._left -= 1
        return True

    def add_for(self, work: Mapping[str, float]) -> None:
        of_pool: dict[str, list[str]] = {pool: [] for pool, hours in work.items() if hours}
        for name, node in self.kinds.nodes.items():
            if (label := node.labels.get(ACCELERATOR_LABEL, "")) in of_pool and self._accelerators(name):
                of_pool[label].append(name)

        def hours_left(pool: str) -> float:
            return work[pool] / max(1.0, sum(self._nodes(name) * self._accelerators(name) for name in of_pool[pool]))

        while of_pool:
            pool = max(of_pool, key=hours_left)
            if not self.add_one(of_pool[pool]):
                del of_pool[pool]

    def _nodes(self, name: str) -> int:
        return self._fixed[name] + self.numbers[name]

    def _accelerators(self, name: str) -> float:
        return self.kinds.nodes[name].resources.get("GPU", 0.0)
