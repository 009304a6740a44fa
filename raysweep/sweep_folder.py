"""What a sweep leaves under ``<storage>/sweeps/<name>/``, and how it is read again.

config.yaml (resolved), grid.parquet, runs.jsonl (one line a run), progress/, scores.parquet, report.html, tables/,
raysweep.log, tune/. Everything points into the store by key; the folder holds no results of its own. Of a store in an
object store, the folder's small files are written on this machine and copied there.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from raysweep.config import EvaluationConfig, PretrainConfig, SweepConfig, TrainingConfig, TrainingSetConfig
from raysweep.config_types import SpecConfig
from raysweep.digests import describe, sha256
from raysweep.errors import StoreError, UsageError, did_you_mean
from raysweep.files import Files
from raysweep.places import write_atomically
from raysweep.plans import CellPlan, SweepPlan
from raysweep.progress import FAILED, RUNNING, STOPPED, Activity, read_activities
from raysweep.records import Score
from raysweep.store import Store
from raysweep.tables import UnreadableTable, read_rows, write_rows
from raysweep.terminal import count

if TYPE_CHECKING:
    import pandas

PROGRESS, TUNE = "progress", "tune"
"""Folders that processes of several machines write into."""
DEAD_SECONDS = 10
"""A part that claims to run and was silent for so long, in a sweep that no process holds, is not running."""


@dataclass(frozen=True)
class Held:
    """An artefact as a grid row remembers it."""

    stage: str
    key: str
    label: str


@dataclass(frozen=True)
class GridRow:
    """One evaluation pair of a sweep with the keys of its artefacts."""

    cell: str
    model: str
    recipe: str
    training_set: str
    seed: int
    problem_set: str
    perturbation: str
    model_stage: str  # model | base_model; "" for a model that is not in the store
    model_key: str
    test_set_key: str
    completions_key: str
    results_key: str

    @property
    def weights(self) -> Held | None:
        """The cell's model, None where it is not in the store."""
        return Held(self.model_stage, self.model_key, self.cell) if self.model_stage else None

    @property
    def test_set(self) -> Held:
        """The pair's prompts."""
        return Held("test_set", self.test_set_key, f"test set {self.problem_set} {self.perturbation}")

    @property
    def completions(self) -> Held:
        """What the model wrote."""
        return Held("completions", self.completions_key, f"{self.cell} on {self.problem_set} {self.perturbation}")

    @property
    def results(self) -> Held:
        """The verdicts."""
        return Held("results", self.results_key, f"{self.cell} on {self.problem_set} {self.perturbation}")


class SweepFolder:
    """The folder of one sweep."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self.files = store.files.below(f"sweeps/{name}")
        self.path = store.scratch / "sweeps" / name  # on this machine
        self._published: dict[str, str] = {}

    def __str__(self) -> str:
        return str(self.files)

    @property
    def progress(self) -> Files:
        """Folder of progress files."""
        return self.store.progress(self.name)

    @property
    def lease(self) -> str:
        """The name of the lease that the one process holds which runs the sweep."""
        return f"sweep-{self.name}"

    def exists(self) -> bool:
        """Whether a sweep of this name was ever started here."""
        return self.files.info("grid.parquet") is not None

    def pull(self) -> None:
        """Bring the small files of a sweep in an object store to this machine; on a disk they are there."""
        if self.files.local is None and self.exists():
            for name in self.files.infos():
                if name.partition("/")[0] not in (PROGRESS, TUNE):
                    write_below(self.path, name, self.files.read(name) or b"")

    def publish(self) -> None:
        """Copy what is new in the folder into the object store; on a disk it is there."""
        if self.files.local is not None:
            return
        for name in describe(self.path):
            sha = sha256(self.path / name)
            if self._published.get(name) != sha:
                self.files.write(name, (self.path / name).read_bytes())
                self._published[name] = sha

    def is_running(self) -> bool:
        """Whether a process runs the sweep."""
        return self.store.leases.is_alive(self.lease)

    def activities(self) -> dict[str, Activity]:
        """Return what each part is doing; what claims to run though no process runs the sweep any more is stopped."""
        found = read_activities(self.progress)
        if self.is_running():
            return found
        dead = {a.id: a for a in found.values() if a.state == RUNNING and time.time() - a.updated > DEAD_SECONDS}
        return {**found, **{name: dataclasses.replace(a, state=STOPPED) for name, a in dead.items()}}

    def require(self) -> None:
        """Raise UsageError when there is no such sweep."""
        if not self.exists():
            names = (name.split("/") for name in self.store.files.infos("sweeps"))
            known = [parts[0] for parts in names if parts[1:] == ["grid.parquet"]]
            hint = did_you_mean(self.name, known)
            there = ", ".join(sorted(known)) or "none"
            raise UsageError(f"unknown sweep {self.name!r}{hint}; in {self.store.root} there is: {there}")
        self.pull()

    def claim(self, plan: SweepPlan, config_yaml: str) -> None:
        """Write config and grid; raise UsageError when results of the sweep of this name would be left out."""
        self.pull()
        rows = grid_rows(plan)
        kept = {row.results_key for row in rows}
        lost = [row for row in self._former_grid() if row.results_key not in kept and self.store.has(row.results)]
        if lost:
            raise UsageError(
                f"{count(len(lost), 'finished evaluation pair')} of the sweep {self.name!r} in {self.store.root} "
                f"{'is' if len(lost) == 1 else 'are'} not in this config (other settings, data or versions), first: "
                f"{lost[0].results.label}. Give this one another name (--set name={self.name}-2) or another --storage, "
                f"or remove {self}: what was made stays in the store"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_rows(self.path / "grid.parquet", GridRow, rows, ["cell", "problem_set", "perturbation"])
        write_atomically(self.path / "config.yaml", config_yaml)
        self.publish()

    def _former_grid(self) -> list[GridRow]:
        """Return the grid of earlier runs; a broken file is as good as none, since nothing but the name hangs on it."""
        try:
            return self.grid() if self.exists() else []
        except UnreadableTable:
            return []

    def grid(self) -> list[GridRow]:
        """Return the evaluation pairs."""
        return read_rows(self.path / "grid.parquet", GridRow)

    def config(self) -> SweepConfig:
        """Return the config of the last run, as it was checked then: what it names may be gone since.

        Raises:
            StoreError: the file is missing or not one that this version wrote.
        """
        path = self.path / "config.yaml"
        try:
            value = yaml.safe_load(path.read_text(encoding="utf-8"))
            return SweepConfig.model_validate(_as_checked(value), context={"recipes": set(value["recipes"])})
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValidationError) as error:
            raise StoreError(f"{path} can't be read: {error}; the sweep's command writes it again") from None

    def scores(self) -> list[Score]:
        """Return the scores of the last analysis; empty before the first."""
        path = self.path / "scores.parquet"
        return read_rows(path, Score) if path.is_file() else []

    def frame(self) -> pandas.DataFrame:
        """Return the scores as a table; see `raysweep.load_results`."""
        import pandas

        scores = [dataclasses.asdict(score) for score in self.scores()]
        frame = pandas.DataFrame(scores, columns=[field.name for field in dataclasses.fields(Score)])
        notes = frame.pop("note")
        frame.attrs["notes"] = {row: note for row, note in enumerate(notes) if note}
        return frame

    def write_scores(self, scores: Iterable[Score]) -> None:
        """Store the scores, sorted."""
        keys = ["model", "recipe", "training_set", "seed", "problem_set", "perturbation", "metric"]
        write_rows(self.path / "scores.parquet", Score, scores, keys)

    def add_run(self, run: dict[str, Any]) -> None:
        """Append a line about a run: when, how long, on what, how many cells."""
        path = self.path / "runs.jsonl"
        torn = path.is_file() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps(run) + "\n")

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs, oldest first; a line that a crash cut short is passed over."""
        path = self.path / "runs.jsonl"
        found = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
            try:
                run = json.loads(line)
            except ValueError:
                continue
            if isinstance(run, dict):
                found.append(run)
        return found

    def errors(self) -> dict[str, str]:
        """Return the errors of cells that gave up in the last run that worked on them."""
        activities = read_activities(self.progress).values()
        return {activity.id: activity.error for activity in activities if activity.state == FAILED}


def grid_rows(plan: SweepPlan) -> list[GridRow]:
    """Return a plan's pairs as rows."""
    return [row for cell in plan.cells for row in _rows_of(cell)]


def write_below(folder: Path, name: str, data: bytes) -> None:
    """Write a file below a folder."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / name, data)


def _rows_of(plan: CellPlan) -> list[GridRow]:
    cell, made = plan.cell, plan.model or plan.base.node
    return [
        GridRow(
            cell.id,
            cell.model,
            cell.recipe,
            cell.training_set,
            cell.seed,
            pair.pair.problem_set,
            pair.pair.perturbation,
            made.stage if made else "",
            made.key if made else "",
            pair.test_set.node.key,
            pair.completions.key,
            pair.results.key,
        )
        for pair in plan.pairs
    ]


def _as_checked(value: dict[str, Any]) -> dict[str, Any]:
    """Return a stored config with the sections that name files as built objects, which pydantic takes as they are."""
    evaluation, training = value["evaluation"], value.get("training")
    problems = [SpecConfig(**spec) for spec in evaluation["problems"]]
    built: dict[str, Any] = {"evaluation": EvaluationConfig.model_construct(**{**evaluation, "problems": problems})}
    if training is not None:
        sets = [TrainingSetConfig(**entry) for entry in training["sets"]]
        built["training"] = TrainingConfig.model_construct(source=SpecConfig(**training["source"]), sets=sets)
    models = []
    for model in value["models"]:
        pretrain = model.get("pretrain")
        if pretrain is not None:
            source = SpecConfig(**pretrain["source"])
            model = {**model, "pretrain": PretrainConfig.model_construct(**{**pretrain, "source": source})}
        models.append(model)
    return {**value, **built, "models": models}
