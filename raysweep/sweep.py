"""Running a sweep: look at the store, make what is missing, analyse. Also plan and status, which make nothing."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep.config import SweepConfig
from raysweep.config_file import to_yaml
from raysweep.errors import UsageError
from raysweep.execution.permission import require_permission
from raysweep.leakage_text import leakage_text
from raysweep.machine import cores, gpus
from raysweep.making import RunOptions, make
from raysweep.pipeline import damage_text
from raysweep.planning import build_plan
from raysweep.plans import CellPlan, Shared, SweepPlan
from raysweep.progress import read_activities
from raysweep.provenance import provenance
from raysweep.records import Score
from raysweep.run_guards import only_run, require_resources
from raysweep.run_log import log_to
from raysweep.space import require_space
from raysweep.storage.places import full_disk_named
from raysweep.storage.store import Store
from raysweep.sweep_folder import SweepFolder

log = logging.getLogger("raysweep")

IN_RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Environment variable that Ray sets for what `ray job submit` starts."""


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
            leakage = leakage_text(config, plan.leakage, store)
            folder.add_run({**_run_record(started, options, missing, errors), "leakage": leakage})
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
    errors = make(plan.config, shared, cells, folder, options)
    activities = read_activities(folder.progress)
    unfinished = [cell.cell.id for cell in plan.missing_cells(folder.store)]
    begun = "stopped" if errors and options.fail_fast else "it ended without results"
    left = {name: begun if name in activities else "not started" for name in unfinished}
    first = f", since {next(iter(errors))} failed (--fail-fast)" if errors and options.fail_fast else ""
    return {**{name: f"{why}{first}" for name, why in left.items()}, **errors}


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
