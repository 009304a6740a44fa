"""Has an engine make what is missing: first what cells share, then the cells, then what is made of their results."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType

from raysweep.config.schema import SweepConfig
from raysweep.engine.base import Context, Engine, EngineSettings, Task
from raysweep.engine.progress import FAILED, STOPPED, ProgressFile, read_activities
from raysweep.errors import UnknownName, UsageError
from raysweep.execution.runtimes import identities
from raysweep.machine import versions
from raysweep.pipeline import make_cell, make_shared
from raysweep.planning.missing import awaited_tasks, by_cell, is_made, walk
from raysweep.planning.plan import ArtefactPlan, AskingPlan, BasePlan, CellArtefactPlan
from raysweep.planning.predictions.needs import CellNeeds
from raysweep.planning.predictions.needs_planner import NeedsPlanner, group_of
from raysweep.programs import PYTHON
from raysweep.records import NOT_TUNED, Recovery
from raysweep.stages.scoring import cell_folders
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.guards import recorded_end

ENGINES = ("local", "ray")
PRETRAINING = "pretraining"
"""The recipe of base models, which has no name in configs, in metrics."""
Watch = Callable[[SweepFolder, Sequence[str], int], AbstractContextManager[None]]
"""Shows progress while the engine works.

Called with the sweep's folder, the ids of the tasks, and the number of cells that were done before.
"""


@dataclass(frozen=True)
class RunOptions:
    """Where and how to run a sweep; none of it is part of a key."""

    storage: str | None = None  # None: $RAYSWEEP_STORAGE, else ./raysweep-store
    engine: str = "ray"  # ray | local
    address: str | None = None  # of a running Ray
    watch: Watch | None = None
    fail_fast: bool = False  # the first failed cell stops the others
    max_gpu_hours: float | None = None  # of all runs of the sweep; then no cell and no stage with GPUs starts

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UnknownName("engine", self.engine, ENGINES)
        if self.max_gpu_hours is not None and not self.max_gpu_hours > 0:
            raise UsageError(f"--max-gpu-hours {self.max_gpu_hours:g}: give a number above 0")
        if self.max_gpu_hours is not None and self.engine == "local":
            raise UsageError("--max-gpu-hours: the local engine counts no GPU-hours; use --engine ray")


def make(
    config: SweepConfig,
    missing_artefacts: Sequence[ArtefactPlan],
    folder: SweepFolder,
    options: RunOptions,
    cached_cells: int = 0,
    hours: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> dict[str, str]:
    """Have an engine make the missing artefacts: those that cells share, those of the cells, those made after them.

    What is made after the cells (`ArtefactPlan.after_cells`) is made as far as the cells have what it needs.

    `missing_artefacts`: those of cells and those that cells share, dependencies first. `cached_cells`: number of the
    sweep's cells that lack nothing. `hours`: that cells and teachers are expected to take, by accelerator, by their
    tasks: longer cells start first.

    Returns the errors by task id, including one for each cell that can't start because a dependency failed.
    """
    folder.progress.remove_folder()
    context = _context(config, missing_artefacts, folder, options)
    needs = NeedsPlanner(config)
    shared = shared_tasks(missing_artefacts, context, needs, hours)
    cell_tasks = _cell_tasks(missing_artefacts, context, needs, hours)
    later = [plan for plan in missing_artefacts if plan.after_cells]
    ids = [task.id for task in [*shared, *cell_tasks, *_tasks(later, context, needs)]]
    watch = options.watch(folder, ids, cached_cells) if options.watch else nullcontext()
    engine = _engine(config, context, folder, options)
    # the outer one records that Ray doesn't start, the inner one a stop before Ray ends, which may take too long
    with watch, recorded_end(folder), engine, recorded_end(folder):
        engine.check([*shared, *cell_tasks])
        errors = engine.make_shared(shared)
        errors |= _run_cells(engine, cell_tasks, errors, folder, fail_fast=options.fail_fast)
        if not (errors and options.fail_fast):
            makeable = [plan for plan in later if all(is_made(item, folder.store) for item in plan.inputs)]
            errors |= engine.make_shared(_tasks(makeable, context, needs)) if makeable else {}
    reported = {name: activity.error for name, activity in read_activities(folder.progress).items() if activity.error}
    return {name: reported.get(name, error) for name, error in errors.items()}


def _run_cells(
    engine: Engine, cells: Sequence[Task], errors: Mapping[str, str], folder: SweepFolder, *, fail_fast: bool
) -> dict[str, str]:
    """Return the errors of cells, also of those that couldn't start. `fail_fast`: start none after a failed task."""
    activities = read_activities(folder.progress)
    stopped = {name for name in errors if name in activities and activities[name].state == STOPPED}
    blocked = _blocked(cells, errors, stopped)
    for cell, (error, is_stopped) in blocked.items():
        ProgressFile(folder.progress, cell).finish(STOPPED if is_stopped else FAILED, "" if is_stopped else error)
    not_started = {cell: error for cell, (error, _) in blocked.items()}
    if fail_fast and errors.keys() - stopped:
        return not_started
    return {**not_started, **engine.run_cells([task for task in cells if task.id not in blocked])}


def _context(
    config: SweepConfig, missing_artefacts: Sequence[ArtefactPlan], folder: SweepFolder, options: RunOptions
) -> Context:
    again = config.recovery
    is_ray = options.engine == "ray"  # only Ray ends processes that hang
    recovery = Recovery(again.retries, again.backoff_seconds, again.stall_seconds, is_ray)
    bases = [plan.cell.base for plan in missing_artefacts if isinstance(plan, CellArtefactPlan)]
    bases += [plan for plan in missing_artefacts if isinstance(plan, BasePlan)]
    bases += [plan.base for plan in missing_artefacts if isinstance(plan, AskingPlan)]
    groups = {name: group_of(config, base) for name, base in {base.name: base for base in bases}.items()}
    compilers = identities(_runtimes(config), config.execution.sandbox)
    sandbox = dataclasses.replace(config.execution.sandbox, compilers=compilers)
    packages = {} if config.resources.allow_mixed else versions(("raysweep", "transformers", "peft"))
    return Context(folder.store.root, folder.name, config.checkpoint_every, recovery, sandbox, groups, packages)


def _runtimes(config: SweepConfig) -> dict[str, str]:
    """Return the runtimes of the sweep's programs, beside raysweep's own Python, each with its setting."""
    runtimes = {config.problem_set(problems).runtime for problems in config.evaluation.problems} - {PYTHON}
    return {runtime: config.execution.sandbox.setting_of(runtime) for runtime in sorted(runtimes)}


def shared_tasks(
    missing_artefacts: Sequence[ArtefactPlan],
    context: Context,
    needs: NeedsPlanner,
    hours: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> list[Task]:
    """Return the tasks of the artefacts that cells share, dependencies first, trainings as early as possible.

    Plans with the same task id become one task. `hours`: that a task is expected to take, by accelerator, by its id.
    """
    shared = [plan for plan in missing_artefacts if not isinstance(plan, CellArtefactPlan) and not plan.after_cells]
    return _tasks(shared, context, needs, hours)


def _tasks(
    missing: Sequence[ArtefactPlan],
    context: Context,
    needs: NeedsPlanner,
    hours: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> list[Task]:
    ids, keys = {plan.task for plan in missing}, {plan.node.key for plan in missing if plan.node}
    groups: dict[str, list[ArtefactPlan]] = {}
    for plan in walk([*(plan for plan in missing if plan.workers), *missing]):
        if plan.node and plan.node.key in keys:
            groups.setdefault(plan.task, []).append(plan)
    return [
        Task(
            name,
            functools.partial(make_shared, plans, context),
            *_needs_and_model(plans, context, needs),
            hours=hours.get(name, {}),
            after=awaited_tasks(plans, ids - {name}),
            uses_other_processes=any(plan.uses_other_processes for plan in plans),
            generates=any(isinstance(plan, AskingPlan) for plan in plans),
        )
        for name, plans in groups.items()
    ]


def _cell_tasks(
    missing_artefacts: Sequence[ArtefactPlan],
    context: Context,
    needs: NeedsPlanner,
    hours: Mapping[str, Mapping[str, float]],
) -> list[Task]:
    """Return one task for each cell; it depends on the tasks that make the inputs of its missing artefacts."""
    others = {plan.task for plan in missing_artefacts}
    store = context.store
    return [
        Task(
            cell.cell.id,
            functools.partial(make_cell, cell, context),
            needs.of_cell(cell),
            cell.base.name,
            cell.cell.recipe,
            context.groups[cell.base.name],
            hours.get(cell.cell.id, {}),
            cell_folders(cell, store),
            awaited_tasks(plans, others - {cell.cell.id}, store),
        )
        for cell, plans in by_cell(missing_artefacts)
    ]


def _needs_and_model(
    plans: Sequence[ArtefactPlan], context: Context, needs: NeedsPlanner
) -> tuple[CellNeeds, str, str, str]:
    """Return what a task needs; and, empty for others, the base model that it trains or has write, recipe and group."""
    for plan in plans:
        if isinstance(plan, BasePlan):
            return needs.of_base(plan), plan.name, PRETRAINING, context.groups[plan.name]
        if isinstance(plan, AskingPlan):
            return needs.of_teacher(plan.base), plan.base.name, NOT_TUNED, context.groups[plan.base.name]
    return needs.of_shared(), "", "", ""


def _blocked(cells: Sequence[Task], errors: Mapping[str, str], stopped: Collection[str]) -> dict[str, tuple[str, bool]]:
    """Map waiting cells to (reason, was it stopped); those that others wait for come before these."""
    blocked: dict[str, tuple[str, bool]] = {}
    for task in cells:
        name = next((name for name in task.after if name in errors or name in blocked), None)
        if name is not None:
            error, is_stopped = blocked[name] if name in blocked else (errors[name], name in stopped)
            blocked[task.id] = f"not started: {name} {'was ' if is_stopped else 'failed: '}{error}", is_stopped
    return blocked


def _engine(
    config: SweepConfig,
    context: Context,
    folder: SweepFolder,
    options: RunOptions,
) -> Engine:
    settings = EngineSettings(
        config.resources,
        config.ray,
        context.recovery,
        folder.files,
        tuple(config.loggers),
        options.address,
        options.fail_fast,
        options.max_gpu_hours,
        folder.store.pins,
        folder.name,
        _runtimes(config),
    )
    if options.engine == "local":
        from raysweep.engine.local import LocalEngine

        return LocalEngine(settings)
    from raysweep.engine.ray.engine import RayEngine

    return RayEngine(settings)
