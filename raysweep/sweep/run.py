"""Runs a sweep: finds out what the store lacks, has an engine make it, and analyses the results."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raysweep.config.loading import to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.engine.progress import read_activities
from raysweep.execution.pool import require_permission
from raysweep.machine import cores, gpus, provenance
from raysweep.planning.missing import by_cell, missing, walk
from raysweep.planning.plan import ArtefactPlan, CellPlan, SweepPlan
from raysweep.planning.planner import build_plan
from raysweep.records import Score
from raysweep.storage.artefacts import damage_text
from raysweep.storage.backends import full_disk_named
from raysweep.storage.store import Store, open_store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.guards import require_resources, require_space, sweep_lease
from raysweep.sweep.report_notes import leakage_text
from raysweep.sweep.tasks import RunOptions, make

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
    """Run a plan in a store; see `run_sweep`."""
    from raysweep.sweep.report import analyse

    started, config = time.time(), plan.config
    missing_artefacts = missing(plan.targets, store, repair=True)
    cells = [cell for cell, _ in by_cell(missing_artefacts)]
    if cells:
        require_permission(config.allow_code_execution)
    require_resources(config, cells, options.engine, options.address)
    require_space(
        store, cells, parallel_trainings=_parallel_trainings(config, options) if config.checkpoint_every else 0
    )
    folder = SweepFolder(store, config.name)
    with sweep_lease(folder), full_disk_named(f"storage {store.files}"):
        folder.claim(plan, to_yaml(config))
        errors: dict[str, str] = {}
        _discard_damaged(plan, store)
        if missing_artefacts:
            folder.start_log()
            errors = _make(plan, missing_artefacts, folder, options)
            leakage = leakage_text(config, plan.leakage, store)
            folder.add_run({**_run_record(started, options, cells, errors), "leakage": leakage})
        scores, _ = analyse(folder, plan, errors)
        folder.publish()
    return SweepResult(config, folder, scores, errors, len(cells), f"{folder}/report.html")


def _parallel_trainings(config: SweepConfig, options: RunOptions) -> int:
    """Return how many cells can train at the same time here; 1 on another Ray, whose machines are not known yet."""
    from raysweep.engine.ray.cluster import foreign_address

    if options.engine == "local" or foreign_address(options.address):
        return 1
    cells_that_fit = [cores() / config.resources.cpus]
    if config.resources.gpus:
        cells_that_fit.append(gpus() / config.resources.gpus)
    return max(1, int(min(cells_that_fit)))


def _make(
    plan: SweepPlan, missing_artefacts: Sequence[ArtefactPlan], folder: SweepFolder, options: RunOptions
) -> dict[str, str]:
    """Make the missing artefacts; return errors by task id, including one for each cell without results."""
    errors = make(plan.config, missing_artefacts, folder, options)
    activities = read_activities(folder.progress)
    unfinished = [cell.cell.id for cell, _ in by_cell(missing(plan.targets, folder.store))]
    state_if_started = "stopped" if errors and options.fail_fast else "it ended without results"
    states = {cell: state_if_started if cell in activities else "not started" for cell in unfinished}
    cause = f", since {next(iter(errors))} failed (--fail-fast)" if errors and options.fail_fast else ""
    return {**{cell: f"{state}{cause}" for cell, state in states.items()}, **errors}


def _discard_damaged(plan: SweepPlan, store: Store) -> None:
    """Remove the plan's damaged artefacts from the store, so that they are made again; log a warning for each."""
    for node in (plan.node for plan in walk(plan.targets) if plan.node):
        damage = store.discard_if_damaged(node)
        if damage:
            log.warning("%s", damage_text(node, damage))


def _run_record(
    started: float, options: RunOptions, cells: Sequence[CellPlan], errors: Mapping[str, str]
) -> dict[str, object]:
    """Return the line of runs.jsonl that describes this run."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "wall_seconds": round(time.time() - started, 1),
        "engine": options.engine,
        "cells": len(cells),
        "failed": dict(errors),
        **provenance(),
    }
