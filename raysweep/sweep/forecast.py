"""Foretells a sweep on a cluster: where each cell runs, when it ends, and what it costs.

Hours are those of `raysweep plan`; who starts when and where is decided by the code that decides it in a run.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep.accelerators import ACCELERATOR_LABEL, NO_LABEL
from raysweep.config.schema import SweepConfig
from raysweep.engine.placing.cells import ANY, CellToPlace, hours_in
from raysweep.engine.placing.cluster_files import ClusterFile, read_cluster_file
from raysweep.engine.placing.fits import CHANGES, IdleNodes, no_room, require_placeable, unfit_cells
from raysweep.engine.placing.groups import pools_of_groups
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.placing.simulation import Played, StageToPlay, play
from raysweep.engine.placing.workers import workers_by_need
from raysweep.errors import UsageError, did_you_mean
from raysweep.planning.missing import awaited_tasks, by_cell
from raysweep.planning.plan import (
    ArtefactPlan,
    BasePlan,
    CellArtefactPlan,
    CellPlan,
    CompletionsPlan,
    ModelPlan,
    SweepPlan,
    TeacherAnswersPlan,
)
from raysweep.planning.predictions.costs import CellCost, PlanCosts
from raysweep.planning.predictions.needs import CellNeeds
from raysweep.planning.predictions.needs_planner import NeedsPlanner, group_of
from raysweep.storage.store import Store


@dataclass(frozen=True)
class PoolForecast:
    """One type of accelerator."""

    accelerator: str
    gpus: float
    cells: int
    gpu_hours: float | None  # of its accelerators together; None: no hours are known
    ends: float | None  # hours after the sweep's start; None: no hours are known
    cost: float | None  # None: `prices` doesn't name it
    models: tuple[str, ...] = ()  # base models whose cells run there, and teachers
    unfit: str = ""  # why a cell that may choose can't, where none runs there


@dataclass(frozen=True)
class CellForecast:
    """One cell, or what a teacher writes. `ends`: hours after the sweep's start; None where its hours aren't known."""

    pool: str
    gpu_hours: float
    ends: float | None
    cost: float | None


@dataclass(frozen=True)
class Forecast:
    """A sweep on a cluster."""

    cluster: str
    nodes: int
    makespan: float
    gpu_hours: float
    cost: float | None  # None: nothing has a price
    pools: tuple[PoolForecast, ...]
    cells: Mapping[str, CellForecast]
    teachers: Mapping[str, CellForecast]  # what they write before the cells start, by the ids of their tasks
    unknown: tuple[str, ...] = ()  # cells and teachers whose hours there aren't known, which count as none
    bases: tuple[str, ...] = ()  # models that are trained before the cells, whose hours aren't counted
    unused_prices: tuple[str, ...] = ()  # names in `prices` that no node has as label, each with the one perhaps meant
    has_shares: bool = False  # processes share accelerators, and are counted as fast as on whole ones


def forecast(
    plan: SweepPlan,
    lacking: Sequence[ArtefactPlan],
    costs: PlanCosts,
    store: Store,
    *,
    file: Path | None = None,
    address: str | None = None,
) -> Forecast:
    """Return how what teachers have to write, and then the cells that are to do, would go on a cluster.

    `file`: starts the cluster; its nodes are counted at their largest number. Where all types together may have fewer
    than that, each gets its part by what the cells need. `address`: of a running Ray, in the place of a file.

    Raises:
        UsageError: the file can't be used, the Ray can't be reached, or a cell fits nowhere.
    """
    started = read_cluster_file(file) if file is not None else None
    nodes = IdleNodes(started.nodes(), where=str(file)) if started else _live_nodes(plan, address)
    labels = {label for node in nodes.nodes.values() if (label := node.labels.get(ACCELERATOR_LABEL))}
    cells, teachers = by_cell(lacking), [artefact for artefact in lacking if isinstance(artefact, TeacherAnswersPlan)]
    first, then = _to_place(plan.config, teachers, cells, costs, nodes, store)
    to_place = [*first, *then]
    nodes, groups = _shared_out(started, to_place, nodes, store)
    played, has_shares = _played(first, then, cells, costs, nodes, groups)
    by_id, prices = {cell.id: cell for cell in to_place}, plan.config.prices
    hours = {name: cost.hours for name, cost in (*costs.cells.items(), *costs.teachers.items())}
    foretold = {name: _cell(played, by_id[name], hours[name], prices.get(pool)) for name, pool in played.pools.items()}
    models = {cell.cell.id: cell.base.name for cell, _ in cells} | {one.task: one.base.name for one in teachers}
    tasks = {one.task for one in teachers}
    pools = _pools(labels, nodes.nodes, foretold, models, to_place, tasks)
    known_costs = [pool.cost for pool in pools if pool.cost is not None]
    return Forecast(
        cluster=nodes.where,
        nodes=len(nodes.nodes),
        makespan=played.makespan,
        gpu_hours=sum(played.gpu_hours.values()),
        cost=sum(known_costs) if known_costs else None,
        pools=tuple(pools),
        cells={name: cell for name, cell in foretold.items() if name not in tasks},
        teachers={name: cell for name, cell in foretold.items() if name in tasks},
        unknown=tuple(name for name, cell in foretold.items() if cell.ends is None),
        bases=tuple(artefact.name for artefact in lacking if isinstance(artefact, BasePlan)),
        unused_prices=tuple(f"{name}{did_you_mean(name, labels)}" for name in prices if name not in labels),
        has_shares=has_shares,
    )


def _to_place(
    config: SweepConfig,
    teachers: Sequence[TeacherAnswersPlan],
    cells: Sequence[tuple[CellPlan, Sequence[CellArtefactPlan]]],
    costs: PlanCosts,
    nodes: IdleNodes,
    store: Store,
) -> tuple[list[CellToPlace], list[CellToPlace]]:
    """Return the teachers, and the cells with the artefacts that they lack; raise UsageError if one fits on no node."""
    planner = NeedsPlanner(config)
    of_teachers = [([one.task], planner.of_teacher(one.base)) for one in teachers]
    asked = require_placeable([*of_teachers, *planner.distinct([cell for cell, _ in cells])], nodes)
    needs = {name: asked_needs for names, asked_needs in asked for name in names}
    first = [
        CellToPlace(one.task, needs[one.task], costs.teachers[one.task].hours, group_of(config, one.base))
        for one in teachers
    ]
    ids = {cell.cell.id for cell, _ in cells}
    then = [
        CellToPlace(
            cell.cell.id,
            needs[cell.cell.id],
            costs.cells[cell.cell.id].wall_hours(cell.workers),
            group_of(config, cell.base),
            awaited_tasks(to_make, ids - {cell.cell.id}, store),
        )
        for cell, to_make in cells
    ]
    return first, then


def _shared_out(
    file: ClusterFile | None, cells: Sequence[CellToPlace], nodes: IdleNodes, store: Store
) -> tuple[IdleNodes, dict[str, str]]:
    """Return the nodes that a cluster file starts for some cells, and the pool of each group; other nodes as they are.

    `nodes`: of a file, as many of each type as there can be; or those that run.
    """
    groups = {cell.group for cell in cells if cell.group and cell.is_on_accelerators}
    bound = store.pins.pools_of(groups)
    pools = pools_of_groups(cells, nodes, bound)
    if file is None:
        return nodes, pools
    shared = IdleNodes(file.nodes(workers_by_need(file, cells, pools)), where=nodes.where)
    if any(cell.is_on_accelerators and shared.lack([cell], pools.get(cell.group, ANY)) for cell in cells):
        pools = pools_of_groups(cells, shared, bound)
    return shared, pools


def _played(
    first: Sequence[CellToPlace],
    then: Sequence[CellToPlace],
    cells: Sequence[tuple[CellPlan, Sequence[CellArtefactPlan]]],
    costs: PlanCosts,
    nodes: IdleNodes,
    pools: Mapping[str, str],
) -> tuple[Played, bool]:
    needs = {cell.id: cell.needs for cell in then}
    writing = {cell.id: [StageToPlay(cell.needs.generation, 1, cell.hours)] for cell in first}
    stages = {cell.cell.id: _stages(needs[cell.cell.id], costs.cells[cell.cell.id], to_make) for cell, to_make in cells}
    taught, played = (_ended(each, of_each, nodes, pools) for each, of_each in ((first, writing), (then, stages)))
    both = Played(
        taught.makespan + played.makespan,
        {**taught.pools, **played.pools},
        {**taught.ends, **{name: taught.makespan + end for name, end in played.ends.items()}},
        {**taught.gpu_hours, **played.gpu_hours},
    )
    return both, any(stage.needs.gpus % 1 for each in (*writing.values(), *stages.values()) for stage in each)


def _ended(
    cells: Sequence[CellToPlace],
    stages: Mapping[str, Sequence[StageToPlay]],
    nodes: IdleNodes,
    pools: Mapping[str, str],
) -> Played:
    played = play(cells, stages, nodes.nodes, pools)
    if stuck := sorted(stages.keys() - played.ends.keys()):
        raise UsageError(f"{nodes.where} {no_room(stuck[0])}, or for what waits before it; {CHANGES}")
    return played


def _pools(
    labels: Collection[str],
    nodes: Mapping[str, NodeFacts],
    cells: Mapping[str, CellForecast],
    models: Mapping[str, str],
    to_place: Sequence[CellToPlace],
    teachers: Collection[str],
) -> list[PoolForecast]:
    """Return the pools in which cells and teachers run, and the types of accelerators on which none does."""
    used = {cell.pool for cell in cells.values()}
    pools = []
    for name in sorted({*used, *labels}):
        in_pool = {id: cell for id, cell in cells.items() if cell.pool == name}
        there = [node for node in nodes.values() if name in (ANY, node.labels.get(ACCELERATOR_LABEL, NO_LABEL))]
        ends = [cell.ends for cell in in_pool.values() if cell.ends is not None]
        costs = [cell.cost for cell in in_pool.values() if cell.cost is not None]
        pool = PoolForecast(
            name,
            sum(node.resources.get("GPU", 0.0) for node in there),
            len(in_pool.keys() - set(teachers)),
            math.fsum(cell.gpu_hours for cell in in_pool.values()) if ends else None,
            max(ends, default=None),
            math.fsum(costs) if costs else None,
            tuple(dict.fromkeys(models[id] for id in in_pool)),
            "" if name in used else unfit_cells(to_place, name),
        )
        pools.append(pool)
    return pools


def _cell(played: Played, cell: CellToPlace, hours: Mapping[str, float], price: float | None) -> CellForecast:
    pool, gpu_hours = played.pools[cell.id], played.gpu_hours[cell.id]
    ends = None if hours_in(pool, hours, not cell.is_on_accelerators) is None else played.ends[cell.id]
    return CellForecast(pool or NO_LABEL, gpu_hours, ends, None if price is None else gpu_hours * price)


def _live_nodes(plan: SweepPlan, address: str | None) -> IdleNodes:
    from raysweep.engine.ray.cluster.cluster import Cluster
    from raysweep.engine.ray.cluster.nodes import autoscaler_runs, nodes_by_id

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
    share = sum(isinstance(plan, CompletionsPlan) for plan in lacking) / max(1, len(lacking[0].cell.pairs))
    writing = {name: share * (hours - cost.training_hours.get(name, 0.0)) for name, hours in cost.hours.items()}
    in_trial = needs.in_trial and not (needs.generation.gpus and not needs.training.gpus)
    held = needs.training if in_trial else needs.generation  # a trial writes with what it holds from its start
    if not training:
        return [StageToPlay(held, 1, writing)]
    first = StageToPlay(needs.training, workers, {name: hours / workers for name, hours in training.items()})
    return [first, StageToPlay(held, 1, writing, keeps=in_trial)]
