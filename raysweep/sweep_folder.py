"""What a sweep leaves under ``<storage>/sweeps/<name>/``, and how it is read again.

config.yaml (resolved), grid.parquet, runs.jsonl (one line a run), progress/, scores.parquet, report.html, tables/,
raysweep.log, tune/. Everything points into the store by key; the folder holds no results of its own.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import UnknownName, UsageError
from raysweep.plans import CellPlan, SweepPlan
from raysweep.progress import FAILED, read_activities
from raysweep.records import Score
from raysweep.store import Store, write_atomically
from raysweep.tables import read_rows, write_rows

if TYPE_CHECKING:
    import pandas


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


@dataclass(frozen=True)
class Held:
    """An artefact as a grid row remembers it."""

    stage: str
    key: str
    label: str


class SweepFolder:
    """The folder of one sweep."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self.path = store.sweep_folder(name)

    @property
    def progress(self) -> Path:
        """Folder of progress files."""
        return self.path / "progress"

    def exists(self) -> bool:
        """Whether a sweep of this name was ever started here."""
        return (self.path / "grid.parquet").is_file()

    def require(self) -> None:
        """Raise UnknownName when there is no such sweep."""
        if not self.exists():
            sweeps = self.store.sweep_folder("x").parent
            known = [folder.name for folder in sweeps.glob("*") if (folder / "grid.parquet").is_file()]
            raise UnknownName(f"sweep in {self.store.root}", self.name, known)

    def claim(self, plan: SweepPlan, config_yaml: str) -> None:
        """Write config and grid; raise UsageError when the name belongs to a config that this one does not extend."""
        rows = grid_rows(plan)
        if self.exists():
            old = {row.results_key for row in self.grid()}
            lost = len(old - {row.results_key for row in rows})
            if lost:
                raise UsageError(
                    f"sweep name {self.name!r} is taken in {self.store.root} by another config: {lost} of its "
                    f"{len(old)} evaluation pairs are not in this one. Give this one another name "
                    f"(--set name={self.name}-2) or another --storage"
                )
        self.path.mkdir(parents=True, exist_ok=True)
        write_rows(self.path / "grid.parquet", GridRow, rows, ["cell", "problem_set", "perturbation"])
        write_atomically(self.path / "config.yaml", config_yaml)

    def grid(self) -> list[GridRow]:
        """Return the evaluation pairs."""
        return read_rows(self.path / "grid.parquet", GridRow)

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
        with (self.path / "runs.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs, oldest first."""
        path = self.path / "runs.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

    def errors(self) -> dict[str, str]:
        """Return the errors of cells that gave up in the last run that worked on them."""
        activities = read_activities(self.progress).values()
        return {activity.id: activity.error for activity in activities if activity.state == FAILED}


def grid_rows(plan: SweepPlan) -> list[GridRow]:
    """Return a plan's pairs as rows."""
    return [row for cell in plan.cells for row in _rows_of(cell)]


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
