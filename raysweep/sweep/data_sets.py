"""Makes the training and test sets of a config without its models (`raysweep sets`), and exports them as a dataset.

The export is a folder of Parquet files with a dataset card; `datasets.load_dataset(folder, "training-C1")` reads it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from raysweep.config.schema import SweepConfig
from raysweep.errors import unwritable_named
from raysweep.planning.missing import discard_damaged, missing
from raysweep.planning.plan import TestSetPlan, TrainingSetPlan
from raysweep.planning.sets import build_data_sets
from raysweep.planning.uses import uses_of
from raysweep.records import CLEAN
from raysweep.rows.parquet import ROWS
from raysweep.storage.artefacts import Node
from raysweep.storage.backends import full_disk_named
from raysweep.storage.store import Store, open_store
from raysweep.storage.uses import USES, read_uses, write_uses
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.guards import require_teachers, sweep_lease
from raysweep.sweep.report.notes import leakage_text
from raysweep.sweep.tasks import RunOptions, make

CARD = "README.md"
_FORBIDDEN = re.compile(r"[<>:/\\|?*]")  # characters that `datasets` doesn't allow in the name of a configuration


@dataclass(frozen=True)
class DataSet:
    """A training or test set in the store, with its counts of rows."""

    name: str  # such as training-C1 or humaneval-C1
    node: Node
    rows: int
    perturbed: int  # rows whose text differs from the clean one
    unchanged: int  # rows that a method was applied to and left as they were
    broken: int  # prompts that don't compile


@dataclass(frozen=True)
class DataSets:
    """The sets of a config that the store has, and the errors of the others."""

    sets: Sequence[DataSet]
    errors: Mapping[str, str]  # by the id of the failed task
    store: Store
    leakage: str  # a sentence about leaked training rows; "" if they were not looked for


def make_data_sets(config: SweepConfig, options: RunOptions) -> DataSets:
    """Make the training and test sets of a config that the store lacks; return all of them.

    Raises:
        UsageError: the storage or a file that the config names can't be used, or another process runs this sweep.
    """
    store = open_store(options.storage)
    store.require_writable()
    named, leakages = build_data_sets(config)
    folder = SweepFolder(store, config.name)
    errors: Mapping[str, str] = {}
    with sweep_lease(folder), full_disk_named(f"storage {store.files}"):
        plans = [*named.values(), *leakages]
        missing_artefacts = missing(plans, store, repair=True)
        require_teachers(config, missing_artefacts, options.engine)
        discard_damaged(plans, store)
        before = read_uses(store, folder.name) if folder.files.info(USES) else []
        write_uses(store, folder.name, {use.key: use for use in [*uses_of(plans, store), *before]}.values())
        if missing_artefacts:
            folder.create()
            folder.start_log()
            errors = make(config, missing_artefacts, folder, options)
        folder.publish()
    sets = [_data_set(name, plan, store) for name, plan in named.items() if store.has(plan.node)]
    return DataSets(sets, errors, store, leakage_text(config, leakages, store))


def export(data_sets: DataSets, folder: Path) -> None:
    """Write Parquet files and a dataset card over files of these names; raise UsageError if that is impossible."""
    configs = []
    with unwritable_named(f"--out {folder}", "choose another folder"):
        folder.mkdir(parents=True, exist_ok=True)
        for data_set in data_sets.sets:
            name = _FORBIDDEN.sub("-", data_set.name)
            shutil.copyfile(data_sets.store.use(data_set.node) / ROWS, folder / f"{name}.parquet")
            configs.append({"config_name": name, "data_files": f"{name}.parquet"})
        header = yaml.safe_dump({"configs": configs}, sort_keys=False, width=120)
        lines = [f"| {d.name} | {d.rows} | {d.perturbed} | {d.unchanged} |" for d in data_sets.sets]
        table = "\n".join(["| set | rows | perturbed | unchanged by their method |", "|---|---|---|---|", *lines])
        (folder / CARD).write_text(f"---\n{header}---\n\nTraining and test sets made by raysweep.\n\n{table}\n")


def _data_set(name: str, plan: TrainingSetPlan | TestSetPlan, store: Store) -> DataSet:
    counts = store.counts(plan.node)
    rows = int(counts["rows"])
    unchanged = 0 if plan.perturbation.name == CLEAN else int(counts["rows_unchanged"])
    perturbed = int(counts.get("perturbed", 0 if plan.perturbation.name == CLEAN else rows - unchanged))
    return DataSet(name, plan.node, rows, perturbed, unchanged, int(counts.get("rows_not_compiling", 0)))
