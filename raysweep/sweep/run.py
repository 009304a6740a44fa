"""Runs a sweep: finds out what the store lacks, has an engine make it, and analyses the results."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raysweep.config.loading import to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.engine.ledger import spent_text
from raysweep.engine.progress import STOPPED, read_activities
from raysweep.errors import UsageError
from raysweep.execution.pool import require_permission
from raysweep.generators.environments import environment_of
from raysweep.machine import cores, gpus, provenance
from raysweep.planning.control_texts import require_readable
from raysweep.planning.missing import by_cell, discard_damaged, missing, walk
from raysweep.planning.models import (
    require_generators_fit,
    require_recipes_fit,
    unused_settings,
    unused_templates,
)
from raysweep.planning.plan import ArtefactPlan, CellArtefactPlan, CellPlan, SweepPlan, TeacherAnswersPlan
from raysweep.planning.planner import build_plan
from raysweep.planning.predictions.costs import plan_costs
from raysweep.planning.predictions.needs_planner import NeedsPlanner
from raysweep.planning.predictions.trainable import require_fit
from raysweep.records import Score
from raysweep.storage.backends import full_disk_named
from raysweep.storage.store import Store, open_store
from raysweep.storage.uses import drop_judged
from raysweep.sweep.folder import LEDGER, SweepFolder
from raysweep.sweep.guards import (
    environments_of,
    is_elsewhere,
    require_comparable,
    require_oracle,
    require_resources,
    require_space,
    require_teachers,
    sweep_lease,
)
from raysweep.sweep.report.notes import leakage_text
from raysweep.sweep.tasks import RunOptions, make
from raysweep.units import by_text, count

log = logging.getLogger("raysweep")


@dataclass(frozen=True)
class SweepResult:
    """The outcome of a run."""

    config: SweepConfig
    folder: SweepFolder
    scores: list[Score]
    errors: Mapping[str, str]  # by the id of the cell or shared task; empty if every planned cell has results
    cells_run: int  # number of cells that this run worked on
    report: str  # path or URI of report.html


def run_sweep(config: SweepConfig, options: RunOptions | None = None) -> SweepResult:
    """Run a sweep: make the artefacts that the store lacks, then analyse all results.

    Raises:
        UsageError: the config, the storage or the resources don't fit, code may not be executed, or another process
            runs the same sweep. Nothing has been started then.
    """
    store = open_store((options or RunOptions()).storage)
    store.require_writable()
    return run_plan(build_plan(config), store, options or RunOptions())


def run_plan(plan: SweepPlan, store: Store, options: RunOptions) -> SweepResult:
    from raysweep.sweep.report.write import analyse

    started, config, folder = time.time(), plan.config, SweepFolder(store, plan.config.name)
    to_make, left_out = _require_usable(plan, store, options)
    with sweep_lease(folder), full_disk_named(f"storage {store.files}"):
        if to_make:
            if spent := spent_text(folder.ledger(), options.max_gpu_hours):
                raise UsageError(f"{spent}, as {folder}/{LEDGER} says; give more, or leave the option out")
            _tell_unlimited(config, to_make, options)
        store.files.steadily(lambda: folder.claim(plan, to_yaml(config)))
        missing_artefacts = missing(plan.targets, store, repair=True)  # other processes may have removed some since
        cells = [cell for cell, _ in by_cell(missing_artefacts)]
        if cells:
            require_permission(config.allow_code_execution)
        errors: dict[str, str] = {}
        discard_damaged(plan.targets, store)
        if missing_artefacts:
            folder.start_log()
            if line := left_line(plan, missing_artefacts):
                log.info("%s", line)
            errors = _make(plan, missing_artefacts, folder, options)
            run = {
                "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
                "wall_seconds": round(time.time() - started, 1),
                "engine": options.engine,
                "cells": len(cells),
                "failed": dict(errors),
                **provenance(),
            }
            run |= {"leakage": leakage_text(config, plan.leakages, store), "left_out": left_out}
            store.files.steadily(lambda: folder.add_run(run))
        drop_judged([model for cell in plan.cells for model in cell.passing_models], store)
        scores, _ = store.files.steadily(lambda: analyse(folder, plan, errors))
        folder.publish()
    return SweepResult(config, folder, scores, errors, len(cells), f"{folder}/report.html")


def _require_usable(plan: SweepPlan, store: Store, options: RunOptions) -> tuple[list[CellPlan], dict[str, str]]:
    """Check all that can be checked before the sweep's lease is taken.

    Returns the cells that lack something, and by model, in words, which tensors of its files it leaves out, if any.
    """
    config = plan.config
    require_oracle(plan, store)
    require_comparable(plan, store)
    missing_artefacts = missing(plan.targets, store, repair=True)
    cells = [cell for cell, _ in by_cell(missing_artefacts)]
    if cells:
        require_permission(config.allow_code_execution)
    teachers = [plan for plan in missing_artefacts if isinstance(plan, TeacherAnswersPlan)]
    require_resources(config, cells, options.engine, options.address, teachers)
    is_here = options.engine == "local" or not is_elsewhere(options.address)
    require_fit(config, missing_artefacts, is_here)
    left_out = require_recipes_fit(cells)
    require_generators_fit(cells)
    for texts in require_readable(config, cells):
        log.warning("%s", texts.words)
    for line in [*by_text(left_out.items()), *unused_settings([*cells, *teachers])]:
        log.warning("%s", line)
    for there in environments_of(config) if cells else ():
        if there.lacking:
            log.warning("programs on %s: %s; %s", there.problem_set, there.words, there.advice)
    for line in by_text(unused_templates(config, cells)):
        log.info("%s", line)
    _require_environments(config, cells, options)
    require_teachers(config, missing_artefacts, options.engine)
    parallel = 1 if config.checkpoint_every else 0  # 1 on another Ray, too, whose machines are not known yet
    if parallel and is_here and options.engine != "local":
        needs = NeedsPlanner(config)
        asked = [needs.of_cell(cell).training for cell in cells]
        fitting = [min(cores() / one.cpus, gpus() / one.gpus if one.gpus else math.inf) for one in asked]
        parallel = max(1, int(max(fitting, default=1)))
    require_space(store, cells, parallel_trainings=parallel)
    return cells, left_out


def left_line(plan: SweepPlan, missing_artefacts: Sequence[ArtefactPlan]) -> str:
    """Say how much of a sweep is left to make; empty if that is all of it."""
    shared = [one for one in walk(plan.targets) if not isinstance(one, CellArtefactPlan) and not one.after_cells]
    tasks = {artefact.node.key: artefact.task for artefact in shared if artefact.node}  # one key may have two names
    lacking = {artefact.node.key for artefact in missing_artefacts if artefact.node}
    every = (len(set(tasks.values())), len(plan.cells))
    left = (len({task for key, task in tasks.items() if key in lacking}), len(by_cell(missing_artefacts)))
    if left == every:
        return ""
    parts = [
        f"{part:,} of {count(whole, noun)}" for part, whole, noun in zip(left, every, ("input", "model"), strict=True)
    ]
    return f"left to make: {' and '.join(parts)}; the others are kept"


def _require_environments(config: SweepConfig, cells: Sequence[CellPlan], options: RunOptions) -> None:
    """Raise UsageError if a generator would have to leave a process to run in an environment of its own."""
    needs = NeedsPlanner(config)
    for cell in cells:
        there, needed = environment_of(cell.generator), needs.of_cell(cell)
        in_trial = needed.in_trial and needed.training.gpus > 0
        if there is not None and (options.engine == "local" or in_trial):
            way = "give --engine ray" if options.engine == "local" else "leave out resources.processes"
            raise UsageError(
                f"generator {cell.generator.name} runs in an environment of its own ({there.python}), where only Ray "
                f"starts processes; {way}"
            )


def _make(
    plan: SweepPlan, missing_artefacts: Sequence[ArtefactPlan], folder: SweepFolder, options: RunOptions
) -> dict[str, str]:
    """Make the missing artefacts; return errors by task id, including one for each cell without results."""
    cached = len(plan.cells) - len(by_cell(missing_artefacts))
    hours = plan_costs(plan, folder.store).wall_hours(plan)
    errors = make(plan.config, missing_artefacts, folder, options, cached, hours)
    activities = read_activities(folder.progress)
    unfinished = [cell.cell.id for cell, _ in by_cell(missing(plan.targets, folder.store))]
    spent = spent_text(folder.ledger(), options.max_gpu_hours)
    failed = [name for name in errors if name not in activities or activities[name].state != STOPPED]
    cause = f", since {failed[0]} failed (--fail-fast)" if failed and options.fail_fast else ""
    cause = cause or (f", since {spent}; run it again with more" if spent else "")
    state_if_started = "stopped" if cause else "it ended without results"
    states = {cell: state_if_started if cell in activities else "not started" for cell in unfinished}
    return {**{cell: f"{state}{cause}" for cell, state in states.items()}, **errors}


def _tell_unlimited(config: SweepConfig, cells: Sequence[CellPlan], options: RunOptions) -> None:
    asked = [needs for _, needs in NeedsPlanner(config).distinct(cells)]
    if options.max_gpu_hours is not None and not any(needs.training.gpus or needs.generation.gpus for needs in asked):
        log.warning("--max-gpu-hours limits nothing: no cell asks for GPUs (`resources.gpus`)")
