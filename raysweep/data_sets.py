"""Training and test sets alone: make those of a config, without its models, and export them as a dataset.

The export is a folder of Parquet files with a dataset card, which `datasets.load_dataset(folder, "training-C1")` reads.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from raysweep.config import SweepConfig
from raysweep.errors import UsageError
from raysweep.leakage_text import leakage_text
from raysweep.making import RunOptions, make
from raysweep.pipeline import damage_text
from raysweep.plans import Shared, with_inputs
from raysweep.run_guards import only_run
from raysweep.run_log import log, log_to
from raysweep.set_planning import build_data_sets
from raysweep.set_plans import TestSetPlan, TrainingSetPlan
from raysweep.storage.artefacts import Node
from raysweep.storage.places import full_disk_named
from raysweep.storage.store import Store
from raysweep.sweep import open_store
from raysweep.sweep_folder import SweepFolder
from raysweep.tables import ROWS
from raysweep.training_sets.choice import CLEAN

CARD = "README.md"
_NOT_IN_NAMES = re.compile(r"[<>:/\\|?*]")  # of a configuration of `datasets`


@dataclass(frozen=True)
class DataSet:
    """A set that exists. `unchanged`: rows that a method left as they were; `broken`: prompts that don't compile."""

    name: str  # training-C1, humaneval-C1
    node: Node
    rows: int
    perturbed: int
    unchanged: int
    broken: int


@dataclass(frozen=True)
class DataSets:
    """The sets of a config that exist, and why others don't, by what failed."""

    sets: Sequence[DataSet]
    errors: Mapping[str, str]
    store: Store
    leakage: str  # how many training rows give evaluated problems away, in words


def make_data_sets(config: SweepConfig, options: RunOptions) -> DataSets:
    """Make the training and test sets of a config that are missing.

    Raises:
        UsageError: a file that it names or the storage can't be used, or another process runs this sweep.
    """
    store = open_store(options.storage)
    store.require_writable()
    named, leakage = build_data_sets(config)
    folder = SweepFolder(store, config.name)
    errors: Mapping[str, str] = {}
    with only_run(folder), full_disk_named(f"storage {store.files}"):
        for plan in named.values():
            if wrong := store.discard_if_damaged(plan.node):
                log.warning("%s", damage_text(plan.node, wrong))
        wanted = _missing([*named.values(), *([leakage] if leakage else [])], store)
        if wanted:
            folder.path.mkdir(parents=True, exist_ok=True)
            log_to(folder.path / "raysweep.log")
            errors = make(config, wanted, [], folder, options)
        folder.publish()
    made = [_data_set(name, plan, store) for name, plan in named.items() if store.has(plan.node)]
    return DataSets(made, errors, store, leakage_text(config, leakage, store))


def export(made: DataSets, folder: Path) -> None:
    """Write the sets as Parquet files with a dataset card; files of the same names are replaced.

    Raises:
        UsageError: the folder can't be written.
    """
    configs = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in made.sets:
            name = _NOT_IN_NAMES.sub("-", one.name)
            shutil.copyfile(made.store.use(one.node) / ROWS, folder / f"{name}.parquet")
            configs.append({"config_name": name, "data_files": f"{name}.parquet"})
        header = yaml.safe_dump({"configs": configs}, sort_keys=False, width=120)
        lines = [f"| {one.name} | {one.rows} | {one.perturbed} | {one.unchanged} |" for one in made.sets]
        table = "\n".join(["| set | rows | perturbed | unchanged by their method |", "|---|---|---|---|", *lines])
        (folder / CARD).write_text(f"---\n{header}---\n\nTraining and test sets made by raysweep.\n\n{table}\n")
    except OSError as error:
        raise UsageError(f"--out {folder} can't be written ({error.strerror}); choose another folder") from None


def _missing(plans: Iterable[Shared], store: Store) -> list[Shared]:
    """Return the inputs that don't exist, each after what it is made from and what of that doesn't exist either."""
    found: dict[str, Shared] = {}
    for plan in plans:
        if plan.node is not None and not store.has(plan.node):
            for item in with_inputs(plan):
                if item.node is not None and not store.has(item.node):
                    found.setdefault(item.node.key, item)
    return list(found.values())


def _data_set(name: str, plan: TrainingSetPlan | TestSetPlan, store: Store) -> DataSet:
    counts = store.counts(plan.node)
    rows = int(counts["rows"])
    unchanged = 0 if plan.perturbation.name == CLEAN else int(counts["rows_unchanged"])
    perturbed = int(counts.get("perturbed", 0 if plan.perturbation.name == CLEAN else rows - unchanged))
    return DataSet(name, plan.node, rows, perturbed, unchanged, int(counts.get("rows_not_compiling", 0)))
