"""Running a sweep: look at the store, make what is missing, analyse. Also plan and status, which make nothing."""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from raysweep.attempts import Recovery
from raysweep.config import SweepConfig
from raysweep.config_file import to_yaml
from raysweep.engine.base import Engine, EngineSettings, Stages, Task
from raysweep.errors import UsageError
from raysweep.execution.permission import require_permission
from raysweep.machine import cores, gpus
from raysweep.pipeline import Context, damage_text, make_cell, make_perturbed, make_shared, shared_id
from raysweep.planning import build_plan
from raysweep.plans import BasePlan, CellPlan, PerturbedRowsPlan, Shared, SweepPlan, TrainingSetPlan
from raysweep.progress import ProgressFile, read_activities
from raysweep.provenance import provenance
from raysweep.records import Score
from raysweep.run_guards import only_run, require_resources, stopped_when_interrupted
from raysweep.run_log import log_to
from raysweep.space import require_space
from raysweep.storage.places import full_disk_named
from raysweep.storage.store import Store
from raysweep.sweep_folder import SweepFolder

log = logging.getLogger("raysweep")

IN_RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Environment variable that Ray sets for what `ray job submit` starts."""
Watch = Callable[[SweepFolder, SweepPlan, Sequence[str]], AbstractContextManager[None]]
"""Shows progress while the engine works: given the folder, the plan, and the ids of what will be made."""


@dataclass(frozen=True)
class RunOptions:
    """How to run, as opposed to what: none of it is part of a key."""

    storage: str | None = None  # None: $RAYSWEEP_STORAGE, else ./raysweep-store
    engine: str = "ray"  # ray | local
    address: str | None = None  # of a running Ray
    watch: Watch | None = None
    fail_fast: bool = False  # the first cell that gives up stops the others


@dataclass(frozen=True)
class SweepResult:
    """What a run left behind. `errors`: by cell id or shared input; empty when every planned cell has results."""

    config: SweepConfig
    folder: SweepFolder
    scores: list[Score]
    errors: Mapping[str, str]
    made: int  # cells that were worked on
    report: str  # its path or URI


def run_sweep(config: SweepConfig, options: RunOptions | None = None) -> SweepResult:
    """Run a sweep: whatever is missing is made, then everything is analysed.

    Raises:
        UsageError: bad config, storage, resources, no permission to execute, or another run of the same sweep;
            nothing was started then.
    """
    from raysweep.reporting import analyse

    options = options or RunOptions()
    started = time.time()
    store = open_store(options.storage)
    store.require_writable()
    plan = build_plan(config)
    missing = plan.missing_cells(store)
    shared = plan.missing_shared(store, missing)
    if missing:
        require_permission(config.allow_code_execution)
    require_resources(config, missing, options.engine, options.address)
    require_space(store, missing, at_once=_at_once(config, options) if config.checkpoint_every else 0)
    folder = SweepFolder(store, config.name)
    with only_run(folder), full_disk_named(f"storage {store.files}"):
        folder.claim(plan, to_yaml(config))
        errors: dict[str, str] = {}
        _discard_damaged(plan, store)
        if missing or shared:
            log_to(folder.path / "raysweep.log")
            errors = _make(plan, missing, shared, folder, options)
            folder.add_run(_run_record(started, options, missing, errors))
        scores, _ = analyse(folder, plan, errors)
        folder.publish()
    return SweepResult(config, folder, scores, errors, len(missing), f"{folder}/report.html")


def open_store(storage: str | None) -> Store:
    """Open the store that a command line or the environment names, else ./raysweep-store.

    Raises:
        UsageError: it would lie in the folder of a Ray job, which Ray removes.
    """
    root = storage or os.environ.get("RAYSWEEP_STORAGE") or "raysweep-store"
    if IN_RAY_JOB in os.environ and "://" not in root and not Path(root).expanduser().is_absolute():
        raise UsageError(
            f"storage {root!r} would lie in the folder of this Ray job, which is temporary; with --storage or "
            "RAYSWEEP_STORAGE name an absolute path that every node sees, or an object store (s3://bucket/folder)"
        )
    return Store(root)


def open_folder(name: str, storage: str | None) -> SweepFolder:
    """Open a sweep's folder; raise UsageError when the store has no such sweep."""
    folder = SweepFolder(open_store(storage), name)
    folder.require()
    return folder


def _at_once(config: SweepConfig, options: RunOptions) -> int:
    """Return how many cells may train at a time, at least; of another Ray's machines nothing is known yet."""
    from raysweep.engine.cluster import foreign_address

    if options.engine == "local" or foreign_address(options.address):
        return 1
    rooms = [cores().usable / config.resources.cpus]
    if config.resources.gpus:
        rooms.append(gpus() / config.resources.gpus)
    return max(1, int(min(rooms)))


def _make(
    plan: SweepPlan, cells: Sequence[CellPlan], shared: Sequence[Shared], folder: SweepFolder, options: RunOptions
) -> dict[str, str]:
    config, recovery = plan.config, plan.config.recovery
    folder.progress.remove_folder()
    may_exit = options.engine == "ray"
    attempts = Recovery(recovery.retries, recovery.backoff_seconds, recovery.stall_seconds, may_exit)
    context = Context(folder.store.root, folder.name, config.checkpoint_every, attempts)
    before = list(_shared_tasks(shared, context))
    tasks = [_cell_task(cell, context) for cell in cells]
    settings = EngineSettings(config.resources, config.ray, attempts, folder.files, options.address, options.fail_fast)
    watch = options.watch(folder, plan, [task.id for task in [*before, *tasks]]) if options.watch else nullcontext()
    with watch, stopped_when_interrupted(folder), _engine(options.engine, settings) as engine:
        engine.check([*before, *tasks])
        errors = engine.make_shared(before)
        blocked = _blocked(cells, errors)
        for name, why in blocked.items():
            ProgressFile(folder.progress, name).fail(why)
        ready = [task for task in tasks if task.id not in blocked]
        stops = bool(errors) and options.fail_fast
        errors = {**errors, **blocked, **({} if stops else engine.run_cells(ready))}
    activities = read_activities(folder.progress)
    told = {name: activity.error for name, activity in activities.items() if activity.error}
    errors = {name: told.get(name, error) for name, error in errors.items()}
    unfinished = [cell.cell.id for cell in plan.missing_cells(folder.store)]
    begun = "stopped" if errors and options.fail_fast else "it ended without results"
    left = {name: begun if name in activities else "not started" for name in unfinished}
    first = f", since {next(iter(errors))} failed (--fail-fast)" if errors and options.fail_fast else ""
    return {**{name: f"{why}{first}" for name, why in left.items()}, **errors}


def _blocked(cells: Sequence[CellPlan], errors: Mapping[str, str]) -> dict[str, str]:
    """Return, by id, why cells can't start: a shared input that they read has failed."""
    found: dict[str, str] = {}
    for cell in cells:
        inputs: list[Shared | None] = [cell.base, cell.training_set, *(p.test_set for p in cell.pairs)]
        inputs += [pair.times for pair in cell.pairs]
        for name in (shared_id(item) for item in inputs if item is not None and item.node is not None):
            if name in errors:
                found.setdefault(cell.cell.id, f"not started: {name} failed: {errors[name]}")
    return found


def _shared_tasks(shared: Sequence[Shared], context: Context) -> Iterator[Task]:
    """Yield the tasks of shared inputs, each after those that it reads; a source's rows are perturbed in one."""
    known = {shared_id(item) for item in shared}
    perturbed: dict[str, list[PerturbedRowsPlan]] = {}
    for item in shared:
        if isinstance(item, PerturbedRowsPlan):
            perturbed.setdefault(shared_id(item), []).append(item)
    for name, item in {shared_id(item): item for item in shared}.items():
        reads = [shared_id(read) for read in _read_by(item)]
        after = tuple(dict.fromkeys(read for read in reads if read in known))
        if isinstance(item, PerturbedRowsPlan):
            yield Task(name, functools.partial(_run_perturbing, perturbed[name], context), after=after, spreads=True)
        else:
            workers = item.recipe.workers if isinstance(item, BasePlan) and item.recipe else 0
            yield Task(name, functools.partial(_run_shared, item, context), workers, after)


def _read_by(item: Shared) -> Sequence[Shared]:
    """Return what a shared input is made from."""
    match item:
        case BasePlan():
            return [item.training_set] if item.training_set else []
        case TrainingSetPlan():
            return item.inputs
        case PerturbedRowsPlan():
            return [item.rows]
    return []


def _run_perturbing(items: Sequence[PerturbedRowsPlan], context: Context, stages: Stages) -> Mapping[str, float]:
    make_perturbed(items, context, stages)
    return {}


def _cell_task(cell: CellPlan, context: Context) -> Task:
    workers = cell.recipe.workers if cell.recipe else 0
    return Task(cell.cell.id, functools.partial(make_cell, cell, context), workers)


def _run_shared(item: Shared, context: Context, stages: Stages) -> Mapping[str, float]:
    make_shared(item, context, stages)
    return {}


def _engine(name: str, settings: EngineSettings) -> Engine:
    if name == "local":
        from raysweep.engine.local import LocalEngine

        return LocalEngine(settings)
    from raysweep.engine.tuning import RayEngine

    return RayEngine(settings)


def _discard_damaged(plan: SweepPlan, store: Store) -> None:
    nodes = [node for cell in plan.cells for node in cell.nodes()]
    nodes += [item.node for item in plan.shared() if item.node is not None]
    for node in nodes:
        wrong = store.discard_if_damaged(node)
        if wrong:
            log.warning("%s", damage_text(node, wrong))


def _run_record(
    started: float, options: RunOptions, cells: Sequence[CellPlan], errors: Mapping[str, str]
) -> dict[str, object]:
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "wall_seconds": round(time.time() - started, 1),
        "engine": options.engine,
        "cells": len(cells),
        "failed": dict(errors),
        **provenance(),
    }
