"""Foretells a sweep on a cluster: where each cell runs, when it ends, and what it costs.

Hours are those of `raysweep plan`; who starts when and where is decided by the code that decides it in a run.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raysweep.accelerators import ACCELERATOR_LABEL, NO_LABEL
from raysweep.config.schema import SweepConfig
from raysweep.engine.placing.cells import ANY, CellToPlace, hours_in
from raysweep.engine.placing.cluster_files import nodes_of_file
from raysweep.engine.placing.fits import CHANGES, IdleNodes, no_room, require_placeable, unfit_cells
from raysweep.engine.placing.groups import pools_of_groups
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.placing.simulation import Played, StageToPlay, play
from raysweep.errors import UsageError, did_you_mean
from raysweep.planning.missing import by_cell
from raysweep.planning.plan import (
    ArtefactPlan,
    BasePlan,
    CellArtefactPlan,
    CellPlan,
    CompletionsPlan,
    ModelPlan,
    SweepPlan,
)
from raysweep.planning.predictions.costs import CellCost
from raysweep.planning.predictions.needs import CellNeeds
from raysweep.planning.predictions.needs_planner import NeedsPlanner, group_of
from raysweep.storage.store import Store


@dataclass(frozen=True)
class PoolForecast:
    """One type of accelerator. `gpu_hours`: of its accelerators together; `ends`: hours after the sweep's start.

    Both are None where the hours of no cell are known. `models`: base models whose cells run there; `unfit`: why a cell
    that may choose can't, where none runs there.
    """

    accelerator: str
    gpus: float
    cells: int
    gpu_hours: float | None
    ends: float | None
    cost: float | None  # None: `prices` doesn't name it
    models: tuple[str, ...] = ()
    unfit: str = ""


@dataclass(frozen=True)
class CellForecast:
    """One cell. `ends`: hours after the sweep's start; None where its hours aren't known."""

    pool: str
    gpu_hours: float
    ends: float | None
    cost: float | None


@dataclass(frozen=True)
class Forecast:
    """A sweep on a cluster.

    `unknown`: cells whose hours there aren't known, which count as none; `bases`: models that are trained before the
    cells, whose hours aren't counted; `unused_prices`: names in `prices` that no node has as its label, each with the
    one that may be meant; `has_shares`: processes share accelerators, and are counted as fast as on whole ones.
    """

    cluster: str
    nodes: int
    makespan: float
    gpu_hours: float
    cost: float | None  # None: nothing has a price
    pools: tuple[PoolForecast, ...]
    cells: Mapping[str, CellForecast]
    unknown: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    unused_prices: tuple[str, ...] = ()
    has_shares: bool = False


def forecast(
    plan: SweepPlan,
    lacking: Sequence[ArtefactPlan],
    costs: Mapping[str, CellCost],
    store: Store,
    *,
    file: Path | None = None,
    address: str | None = None,
) -> Forecast:
    """Return how the cells that are to do would go on a cluster.

    Args:
        plan: the sweep.
        lacking: the artefacts that the store lacks.
        costs: what each cell takes, by its id.
        store: its pins bind groups of models to accelerators.
        file: starts the cluster; its nodes are counted at their largest number.
        address: of a running Ray, in the place of a file.

    Raises:
        UsageError: the file can't be used, the Ray can't be reached, or a cell fits nowhere.
    """
    nodes, config, cells = _nodes(plan, file, address), plan.config, by_cell(lacking)
    played, to_place, has_shares = _played(config, cells, costs, nodes, store)
    by_id = {cell.id: cell for cell in to_place}
    of_cells = {
        name: _cell(played, by_id[name], costs[name], config.prices.get(pool)) for name, pool in played.pools.items()
    }
    labels = {label for node in nodes.nodes.values() if (label := node.labels.get(ACCELERATOR_LABEL))}
    pools = _pools(labels, nodes.nodes, of_cells, {cell.cell.id: cell.base.name for cell, _ in cells}, to_place)
    known_costs = [pool.cost for pool in pools if pool.cost is not None]
    return Forecast(
        cluster=nodes.where,
        nodes=len(nodes.nodes),
        makespan=played.makespan,
        gpu_hours=sum(played.gpu_hours.values()),
        cost=sum(known_costs) if known_costs else None,
        pools=tuple(pools),
        cells=of_cells,
        unknown=tuple(name for name, cell in of_cells.items() if cell.ends is None),
        bases=tuple(artefact.name for artefact in lacking if isinstance(artefact, BasePlan)),
        unused_prices=tuple(f"{name}{did_you_mean(name, labels)}" for name in config.prices if name not in labels),
        has_shares=has_shares,
    )


def _played(
    config: SweepConfig,
    cells: Sequence[tuple[CellPlan, Sequence[CellArtefactPlan]]],
    costs: Mapping[str, CellCost],
    nodes: IdleNodes,
    store: Store,
) -> tuple[Played, list[CellToPlace], bool]:
    """Play the cells, each with the artefacts that it lacks.

    Returns:
        How the sweep went, the cells as they were placed, and whether processes share accelerators.
    """
    asked = require_placeable(NeedsPlanner(config).distinct([cell for cell, _ in cells]), nodes)
    needs = {name: cell_needs for names, cell_needs in asked for name in names}
    to_place = [
        CellToPlace(
            cell.cell.id,
            needs[cell.cell.id],
            costs[cell.cell.id].wall_hours(cell.workers),
            group_of(config, cell.base),
        )
        for cell, _ in cells
    ]
    groups = {cell.group for cell in to_place if cell.group and cell.is_on_accelerators}
    pools = pools_of_groups(to_place, nodes, store.pins.pools_of(groups))
    stages = {cell.cell.id: _stages(needs[cell.cell.id], costs[cell.cell.id], to_make) for cell, to_make in cells}
    played = play(to_place, stages, nodes.nodes, pools)
    if stuck := sorted(stages.keys() - played.ends.keys()):
        raise UsageError(f"{nodes.where} {no_room(stuck[0])}, or for what waits before it; {CHANGES}")
    return played, to_place, any(stage.needs.gpus % 1 for each in stages.values() for stage in each)


def _pools(
    labels: Collection[str],
    nodes: Mapping[str, NodeFacts],
    cells: Mapping[str, CellForecast],
    models: Mapping[str, str],
    to_place: Sequence[CellToPlace],
) -> list[PoolForecast]:
    """Return the pools in which cells run, and the types of accelerators on which none does."""
    used = {cell.pool for cell in cells.values()}
    unfit = {label: unfit_cells(to_place, label) for label in labels if label not in used}
    return [
        replace(_pool(name, nodes, cells, models), unfit=unfit.get(name, "")) for name in sorted(used | unfit.keys())
    ]


def _cell(played: Played, cell: CellToPlace, cost: CellCost, price: float | None) -> CellForecast:
    pool, gpu_hours = played.pools[cell.id], played.gpu_hours[cell.id]
    ends = None if hours_in(pool, cost.hours, not cell.is_on_accelerators) is None else played.ends[cell.id]
    return CellForecast(pool or NO_LABEL, gpu_hours, ends, None if price is None else gpu_hours * price)


def _nodes(plan: SweepPlan, file: Path | None, address: str | None) -> IdleNodes:
    from raysweep.engine.ray.cluster.cluster import Cluster
    from raysweep.engine.ray.cluster.nodes import autoscaler_runs, nodes_by_id

    if file is not None:
        return IdleNodes(nodes_of_file(file), where=str(file))
    cluster = Cluster(plan.config.ray, address)
    if cluster.owned:
        raise UsageError(
            f"--address {address} names no running Ray; give HOST:PORT, or `auto` for the one on this machine"
        )
    cluster.start()
    try:
        grows = " without the nodes that its autoscaler may start (`--cluster FILE` counts them)"
        where = f"the Ray at {address}{grows if autoscaler_runs() else ''}"
        return IdleNodes(nodes_by_id(), where=where)
    finally:
        cluster.stop()


def _stages(needs: CellNeeds, cost: CellCost, lacking: Sequence[CellArtefactPlan]) -> list[StageToPlay]:
    """Return a cell's stages with what they take; what exists takes no time, a part of the completions a part."""
    kinds, workers = {type(plan) for plan in lacking}, max(1, needs.workers)
    training = cost.training_hours if ModelPlan in kinds else {}
    share = sum(isinstance(plan, CompletionsPlan) for plan in lacking) / len(lacking[0].cell.pairs)
    writing = {name: share * (hours - cost.training_hours.get(name, 0.0)) for name, hours in cost.hours.items()}
    in_trial = needs.in_trial and not (needs.generation.gpus and not needs.training.gpus)
    held = needs.training if in_trial else needs.generation  # a trial writes with what it holds from its start
    if not training:
        return [StageToPlay(held, 1, writing)]
    first = StageToPlay(needs.training, workers, {name: hours / workers for name, hours in training.items()})
    return [first, StageToPlay(held, 1, writing, keeps=in_trial)]


def _pool(
    name: str, nodes: Mapping[str, NodeFacts], cells: Mapping[str, CellForecast], models: Mapping[str, str]
) -> PoolForecast:
    in_pool = [cell for cell in cells.values() if cell.pool == name]
    there = [node for node in nodes.values() if name in (ANY, node.labels.get(ACCELERATOR_LABEL, NO_LABEL))]
    ends = [cell.ends for cell in in_pool if cell.ends is not None]
    costs = [cell.cost for cell in in_pool if cell.cost is not None]
    return PoolForecast(
        name,
        sum(node.resources.get("GPU", 0.0) for node in there),
        len(in_pool),
        math.fsum(cell.gpu_hours for cell in in_pool) if ends else None,
        max(ends, default=None),
        math.fsum(costs) if costs else None,
        tuple(dict.fromkeys(models[id] for id, cell in cells.items() if cell.pool == name)),
    )
