"""Checks before a run (resources, disk space, isolation), the lease of a sweep, and what happens on an interruption.

The estimate of disk space is rough. It refuses sweeps that would certainly fill the disk.
"""

from __future__ import annotations

import dataclasses
import logging
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from raysweep.config.schema import SweepConfig
from raysweep.engine.placing.fits import HERE, IdleNodes, require_placeable
from raysweep.engine.progress import RUNNING, STOPPED, ProgressFile, read_activities, write_end
from raysweep.errors import Stopped, UsageError, last_line
from raysweep.execution.oracle import inside_refused
from raysweep.execution.pool import require_permission
from raysweep.generators.environments import environment_of
from raysweep.machine import disk
from raysweep.models.identity import weight_bytes
from raysweep.planning.models import require_teachers_fit
from raysweep.planning.plan import ArtefactPlan, CellPlan, RejectedRowsPlan, SweepPlan, TeacherAnswersPlan
from raysweep.planning.predictions.costs import base_shape
from raysweep.planning.predictions.needs import Needs
from raysweep.planning.predictions.needs_planner import NeedsPlanner
from raysweep.problems.packages import EnvironmentFacts, environment_facts
from raysweep.programs import Oracle, Sandbox
from raysweep.records import ModelKind
from raysweep.stages.references import stored_inside_reasons
from raysweep.stages.selection import why_incomparable
from raysweep.storage.leases import DEAD_SECONDS, Lease
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder
from raysweep.trainers.kinds import kind_of
from raysweep.training_sets.base import SOURCES
from raysweep.units import count, size

log = logging.getLogger("raysweep")


def require_teachers(config: SweepConfig, lacking: Iterable[ArtefactPlan], engine: str) -> None:
    """Check that what teachers have still to write can be written and tried here. `lacking`: the missing artefacts.

    Raises:
        ExecutionNotAllowed: rows have tests, which run what a teacher wrote, and the user allows no such programs.
        UsageError: a teacher lacks weights, its generator can't run it, or has an environment of its own and the engine
            is `local`.
    """
    lacking = list(lacking)
    require_teachers_fit(plan for plan in lacking if isinstance(plan, TeacherAnswersPlan))
    for plan in lacking:
        if isinstance(plan, RejectedRowsPlan) and plan.answers is not None:
            if SOURCES.get(plan.rows.source.name).may_have_tests():
                require_permission(config.allow_code_execution)
        elif isinstance(plan, TeacherAnswersPlan) and engine == "local" and environment_of(plan.generator):
            raise UsageError(
                f"the teacher {plan.base.name} writes by the generator {plan.generator.name}, which runs in an "
                "environment of its own, where only Ray starts processes; give --engine ray"
            )


@contextmanager
def sweep_lease(folder: SweepFolder) -> Iterator[Lease]:
    """Hold the lease of a sweep during the block, so that no other process runs the sweep meanwhile.

    Whoever removes unused artefacts is waited for. So what exists must be looked up inside the block.

    If a process on another machine holds the lease, wait about a minute for a sign of life: it may be dead.

    Raises:
        UsageError: another process runs the sweep; the message names it.
    """
    leases, deadline = folder.store.leases, time.monotonic() + DEAD_SECONDS + 15
    lease, logged = leases.take(folder.lease), False
    while lease is None:
        holder = leases.holder(folder.lease)
        if holder is not None and (holder.is_here or time.monotonic() > deadline):
            raise UsageError(
                f"sweep {folder.name!r} is being run by {holder}; wait for it "
                f"(raysweep status {folder.name} --storage {shlex.quote(folder.store.root)}), stop "
                f"it, or give this sweep another name (--set name={folder.name}-2)"
            )
        if not logged and holder is not None:
            log.info("sweep %r was run by %s: waiting up to a minute to see if it still is", folder.name, holder)
            logged = True
        time.sleep(1)
        lease = leases.take(folder.lease)
    with lease:
        leases.await_cleaning()
        yield lease


@contextmanager
def recorded_end(folder: SweepFolder) -> Iterator[None]:
    """Write beside the progress files how the block ends; until it does, that its process was killed.

    If it ends with an exception, such as Ctrl-C, mark the tasks that still count as running as stopped: their own
    processes may have ended without doing so.
    """
    write_end(folder.progress, f"began at {_now()} and was killed, or lost its storage")
    try:
        yield
    except BaseException as error:
        activities = read_activities(folder.progress)
        how = "failed" if any(activity.started for activity in activities.values()) else "failed to start"
        is_stop = isinstance(error, KeyboardInterrupt | SystemExit | Stopped)
        write_end(folder.progress, f"was stopped at {_now()}" if is_stop else f"{how} at {_now()}: {last_line(error)}")
        for name, activity in activities.items():
            if activity.state == RUNNING:
                ProgressFile(folder.progress, name).finish(STOPPED)
        raise
    write_end(folder.progress, f"ended at {_now()}")


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def require_resources(
    config: SweepConfig,
    cells: Sequence[CellPlan],
    engine: str = "ray",
    address: str | None = None,
    teachers: Iterable[TeacherAnswersPlan] = (),
) -> None:
    """Check that this machine has what cells and teachers ask for, and the isolation that the cells' programs need.

    With a Ray that runs already (`address`) nothing is checked here; the engine checks it after connecting.

    Raises:
        UsageError: a cell can't run here, or Ray can't write to the folder for spilled objects.
    """
    from raysweep.engine.ray.cluster.nodes import this_machine
    from raysweep.engine.ray.cluster.temp_folders import spill_root

    if engine == "local" and any(cell.recipe and cell.recipe.workers > 1 for cell in cells):
        raise UsageError("a recipe has several training workers, and the local engine has one; use --engine ray")
    if engine == "ray":
        if is_elsewhere(address):
            return
        spill_root(config.ray.spill_folder)
    machine = IdleNodes({HERE: this_machine(config.ray)}, where=HERE)
    planner = NeedsPlanner(config)
    asked = [*planner.distinct(cells), *(([plan.task], planner.of_teacher(plan.base)) for plan in teachers)]

    def without_labels(needs: Needs) -> Needs:  # nor custom resources, which a node has only once Ray runs
        return dataclasses.replace(needs, custom={}, labels={})

    require_placeable(((names, needs.each(without_labels)) for names, needs in asked), machine)
    _require_isolation(cells)


def is_elsewhere(address: str | None) -> bool:
    """Return True if the cells run on a Ray that is running already, whose machines may be others than this one."""
    from raysweep.engine.ray.cluster.cluster import foreign_address

    return foreign_address(address) is not None


def require_oracle(plan: SweepPlan, store: Store) -> None:
    """Check that every problem is judged where the config requires it, whether or not its verdicts are stored.

    Raises:
        UsageError: problems are judged inside, by their tests or by their stored reference solutions, and the config
            refuses that.
    """
    pairs = [pair for cell in plan.cells for pair in cell.pairs if pair.sandbox.require_oracle is Oracle.OUTSIDE]
    references = {pair.references.node.key: pair.references for pair in pairs}
    reasons = {
        name: why for reference in references.values() for name, why in stored_inside_reasons(reference, store).items()
    }
    if reasons:
        raise UsageError(inside_refused(reasons))


def _require_isolation(cells: Sequence[CellPlan]) -> None:
    for sandbox in {pair.sandbox for cell in cells for pair in cell.pairs}:
        _require_level(sandbox)


@cache
def _require_level(sandbox: Sandbox) -> None:
    """Raise UsageError if this machine can't isolate programs so. What it can is tried once in a process."""
    from raysweep.execution.pool import Executor

    with Executor(1, sandbox) as executor:
        executor.level()


MIN_FREE_BYTES = 2**25
"""Free bytes that every sweep with something to make needs: for rows, logs and Ray's own files."""
FLOAT32_FACTOR = 2
"""Size of fine-tuned weights (float32) relative to the base model's files (16-bit)."""
CHECKPOINT_FACTOR = 6
"""Size of a training's checkpoints relative to its weights: weights and two moments, in the old and the new one."""


def environments_of(config: SweepConfig) -> Iterator[EnvironmentFacts]:
    """Yield what each problem set in an environment finds there, as far as both are on this machine."""
    for problems in config.evaluation.problems:
        with suppress(UsageError):  # the check of the config tells it
            if (problem_set := config.problem_set(problems)).environment:
                limit = config.evaluation.limit
                yield environment_facts(problems.label, problem_set, config.execution.sandbox, limit)


def require_comparable(plan: SweepPlan, store: Store) -> None:
    """Raise UsageError if models of the store, among which a choice is still to be made, have no losses for it."""
    for cell in plan.cells:
        if cell.selection is not None and not store.has(cell.selection.node):
            for candidate in cell.selection.candidates:
                if why := why_incomparable(candidate, store):
                    raise UsageError(why)


def require_space(store: Store, cells: Sequence[CellPlan], parallel_trainings: int) -> None:
    """Raise UsageError if the store's disk has too little space for the cells' models and checkpoints.

    Object stores aren't checked; without `cells` to make, a finished sweep's report may be written as far as it fits.
    `parallel_trainings`: number of cells that have checkpoints at the same time; 0 if none are written.
    """
    if store.files.local is None or not cells:
        return
    sizes = [(cell.keeps_model or cell.is_candidate, _full_bytes(cell, store)) for cell in cells]
    kept = [weights for stays, weights in sizes if stays and weights]  # a candidate's until one is chosen
    passing = [weights for stays, weights in sizes if not stays and weights]
    models = [*kept, *sorted(passing, reverse=True)[: max(1, parallel_trainings)]]  # that are there at a time
    checkpoints = sum(sorted(models, reverse=True)[:parallel_trainings]) * CHECKPOINT_FACTOR
    needed, free = MIN_FREE_BYTES + sum(models) + checkpoints, disk(store.files.local).free
    if needed > free:
        contents = f" ({count(len(models), 'fully fine-tuned model')} and their checkpoints)" if models else ""
        raise UsageError(
            f"storage {store.root!r} has {size(free)} free, and this sweep needs about {size(needed)}{contents}; free "
            "some space, give another --storage, or train fewer models" + (" (LoRA's are small)" if models else "")
        )


def _full_bytes(cell: CellPlan, store: Store) -> int:
    """Return the bytes of the weights that a cell will store; 0 for an adapter, or if the base's size is unknown."""
    if cell.model is None or cell.recipe is None or cell.base.ref is None or store.has(cell.model):
        return 0
    if kind_of(cell.recipe.trainer) is not ModelKind.FULL:
        return 0
    stored = weight_bytes(Path(cell.base.ref.location))
    if stored:
        return FLOAT32_FACTOR * stored
    shape = base_shape(cell.base)  # of a hub model, whose weights may not be here yet
    return 4 * shape.weights if shape else 0
