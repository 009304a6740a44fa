"""What a sweep leaves under ``<storage>/sweeps/<name>/``, and how it is read again.

config.yaml (resolved), grid.parquet, runs.jsonl (one line a run), progress/, scores.parquet, report.html, tables/,
raysweep.log, tune/. Everything points into the store by key; the folder holds no results of its own. Of a store in an
object store, the folder's small files are written on this machine and copied there (`raysweep.storage.mirrors`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.config import SweepConfig
from raysweep.errors import UsageError, did_you_mean
from raysweep.grid_rows import GridRow, grid_rows
from raysweep.plans import SweepPlan
from raysweep.progress import FAILED, RUNNING, STOPPED, Activity, read_activities
from raysweep.records import Score
from raysweep.storage.files import Files
from raysweep.storage.mirrors import Mirror
from raysweep.storage.places import write_atomically
from raysweep.storage.store import Store
from raysweep.stored_config import read_config
from raysweep.tables import UnreadableTable, read_rows, write_rows
from raysweep.terminal import count

if TYPE_CHECKING:
    import pandas

SHARED_FOLDERS = ("progress", "tune")
"""Those that processes of several machines write into."""
LOG = "raysweep.log"


class SweepFolder:
    """The folder of one sweep."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self.files = store.files.below(f"sweeps/{name}")
        self._mirror = Mirror(self.files, store.scratch / "sweeps" / name, SHARED_FOLDERS, (LOG,))

    def __str__(self) -> str:
        return str(self.files)

    @property
    def path(self) -> Path:
        """The folder on this machine."""
        return self._mirror.path

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

    def publish(self) -> None:
        """Copy what is new in the folder into the object store; on a disk it is there."""
        self._mirror.publish()

    def is_running(self) -> bool:
        """Whether a process runs the sweep."""
        return self.store.leases.is_alive(self.lease)

    def activities(self) -> dict[str, Activity]:
        """Return what each part is doing; what claims to run though no process runs the sweep any more is stopped."""
        found = read_activities(self.progress)
        if self.is_running():
            return found
        dead = {a.id: a for a in found.values() if a.state == RUNNING}
        return {**found, **{name: dataclasses.replace(a, state=STOPPED, waits="") for name, a in dead.items()}}

    def require(self) -> None:
        """Raise UsageError when there is no such sweep, NewerStore when a newer raysweep wrote the store."""
        self.store.files.require_known()
        if not self.exists():
            names = (name.split("/") for name in self.store.files.infos("sweeps"))
            known = [parts[0] for parts in names if parts[1:] == ["grid.parquet"]]
            hint = did_you_mean(self.name, known)
            there = ", ".join(sorted(known)) or "none"
            raise UsageError(f"unknown sweep {self.name!r}{hint}; in {self.store.files} there is: {there}")
        self._mirror.read_only()

    def claim(self, plan: SweepPlan, config_yaml: str) -> None:
        """Write config and grid; raise UsageError when results of the sweep of this name would be left out."""
        self.files.await_root()
        self._mirror.pull()
        rows = grid_rows(plan)
        kept = {row.results_key for row in rows}
        lost = [row for row in self._former_grid() if row.results_key not in kept and self.store.has(row.results)]
        if lost:
            raise UsageError(
                f"{count(len(lost), 'finished evaluation pair')} of the sweep {self.name!r} in {self.store.files} "
                f"{'is' if len(lost) == 1 else 'are'} not in this config (other settings, data or versions), first: "
                f"{lost[0].results.label}. Give this one another name (--set name={self.name}-2) or another --storage, "
                f"or remove {self}: what was made stays in the store"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_rows(self.path / "grid.parquet", GridRow, rows, ["cell", "problem_set", "perturbation", "test_draw"])
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
        """Return the config of the last run; see `raysweep.stored_config`."""
        return read_config(self.path / "config.yaml")

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
