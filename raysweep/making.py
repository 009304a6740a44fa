"""Has an engine make what is missing: inputs that cells share, each after what it reads, then the cells."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from raysweep.attempts import Recovery
from raysweep.config import SweepConfig
from raysweep.engine.base import Engine, EngineSettings, Stages, Task
from raysweep.errors import UnknownName
from raysweep.pipeline import Context, make_cell, make_perturbed, make_shared, shared_id
from raysweep.plans import BasePlan, CellPlan, Shared, reads
from raysweep.progress import ProgressFile, read_activities
from raysweep.run_guards import stopped_when_interrupted
from raysweep.set_plans import PerturbedRowsPlan
from raysweep.sweep_folder import SweepFolder

ENGINES = ("local", "ray")
Watch = Callable[[SweepFolder, Sequence[str]], AbstractContextManager[None]]
"""Shows progress while the engine works: given the folder and the ids of what will be made."""


@dataclass(frozen=True)
class RunOptions:
    """How to run, as opposed to what: none of it is part of a key."""

    storage: str | None = None  # None: $RAYSWEEP_STORAGE, else ./raysweep-store
    engine: str = "ray"  # ray | local
    address: str | None = None  # of a running Ray
    watch: Watch | None = None
    fail_fast: bool = False  # the first cell that gives up stops the others

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UnknownName("engine", self.engine, ENGINES)


def make(
    config: SweepConfig, shared: Sequence[Shared], cells: Sequence[CellPlan], folder: SweepFolder, options: RunOptions
) -> dict[str, str]:
    """Make shared inputs and cells that are missing; return the errors by id, those of cells that can't start too."""
    recovery = config.recovery
    folder.progress.remove_folder()
    may_exit = options.engine == "ray"
    attempts = Recovery(recovery.retries, recovery.backoff_seconds, recovery.stall_seconds, may_exit)
    context = Context(folder.store.root, folder.name, config.checkpoint_every, attempts)
    before = list(_shared_tasks(shared, context))
    tasks = [_cell_task(cell, context) for cell in cells]
    settings = EngineSettings(config.resources, config.ray, attempts, folder.files, options.address, options.fail_fast)
    watch = options.watch(folder, [task.id for task in [*before, *tasks]]) if options.watch else nullcontext()
    with watch, stopped_when_interrupted(folder), _engine(options.engine, settings) as engine:
        engine.check([*before, *tasks])
        errors = engine.make_shared(before)
        blocked = _blocked(cells, errors)
        for name, why in blocked.items():
            ProgressFile(folder.progress, name).fail(why)
        ready = [task for task in tasks if task.id not in blocked]
        stops = bool(errors) and options.fail_fast
        errors = {**errors, **blocked, **({} if stops else engine.run_cells(ready))}
    told = {name: activity.error for name, activity in read_activities(folder.progress).items() if activity.error}
    return {name: told.get(name, error) for name, error in errors.items()}


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
    for own, item in {shared_id(item): item for item in shared}.items():
        after = tuple(dict.fromkeys(name for name in map(shared_id, reads(item)) if name in known))
        if isinstance(item, PerturbedRowsPlan):
            yield Task(own, functools.partial(_run_perturbing, perturbed[own], context), after=after, spreads=True)
        else:
            workers = item.recipe.workers if isinstance(item, BasePlan) and item.recipe else 0
            yield Task(own, functools.partial(_run_shared, item, context), workers, after)


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
