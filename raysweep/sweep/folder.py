"""Reads and writes the folder of a sweep, ``<storage>/sweeps/<name>/``.

It holds config.yaml (resolved), grid.parquet, uses.parquet (all artefacts that the sweep uses), runs.jsonl (one line
for each run), ledger/ (GPU time), progress/, scores.parquet, problems.parquet, differences.parquet, quality.parquet and
quality_messages.parquet (where completions are linted), signature.txt, report.html, tables/, raysweep.log and tune/.
The artefacts themselves lie in the store; the grid names them by key. If the store is in an object store, the folder's
small files are written on this machine and copied there (`raysweep.storage.copies`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import logging
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.config.changes import changes_in_words
from raysweep.config.grid import test_set_name
from raysweep.config.loading import read_config
from raysweep.config.schema import SweepConfig
from raysweep.engine import ledger
from raysweep.engine.ledger import GPU_HOURS, Ledger
from raysweep.engine.progress import FAILED, RUNNING, STOPPED, Activity, read_activities
from raysweep.errors import StoreError, UsageError, did_you_mean
from raysweep.planning.plan import CellPlan, SweepPlan
from raysweep.planning.uses import uses_of
from raysweep.quality.reports import LintedFile, LintedMessage
from raysweep.records import Difference, ProblemScore, Score
from raysweep.rows.parquet import (
    RowWriter,
    UnreadableTable,
    block_count,
    frame_of,
    read_block,
    read_groups,
    read_rows,
    write_rows,
)
from raysweep.storage.backends import write_atomically
from raysweep.storage.copies import Mirror
from raysweep.storage.files import Files
from raysweep.storage.leases import SWEEPS
from raysweep.storage.store import Store, open_store
from raysweep.storage.uses import write_uses
from raysweep.units import count

if TYPE_CHECKING:
    import pandas

log = logging.getLogger("raysweep")

LEDGER = f"{ledger.FOLDER}/{ledger.FILE}"
SHARED_FOLDERS = ("progress", "tune", ledger.FOLDER)
"""Sub-folders that processes of several machines write into."""
LOG = "raysweep.log"
SIGNATURE = "signature.txt"
SCORES, PROBLEMS, DIFFERENCES = NUMBERS = ("scores.parquet", "problems.parquet", "differences.parquet")
"""Files with a sweep's numbers: scores, verdicts by problem, differences of cells to their baselines."""
QUALITY, QUALITY_MESSAGES = "quality.parquet", "quality_messages.parquet"
"""Files with what a linter said of a sweep's completions, if its config asks for that: its files, its messages."""
UNKNOWN = (math.nan, math.nan)
"""An interval that nothing is known of."""


@dataclass(frozen=True)
class GridArtefact:
    """An artefact as a row of the grid names it."""

    stage: str
    key: str
    label: str


@dataclass(frozen=True)
class GridRow:
    """One evaluation pair of a sweep, with the keys of its artefacts."""

    cell: str
    model: str
    recipe: str
    training_set: str
    seed: int
    problem_set: str
    perturbation: str
    model_stage: str  # model | base_model; "" if the model is not in the store
    model_key: str
    test_set_key: str
    completions_key: str
    results_key: str
    test_draw: int = 0
    quality_key: str = ""  # of the reports on the pair's completions; "" if none of them is in the sample

    @property
    def test_name(self) -> str:
        """The name of the pair's test set."""
        return test_set_name(self.problem_set, self.perturbation, self.test_draw)

    @property
    def weights(self) -> GridArtefact | None:
        """The cell's model; None if it is not an artefact of the store, such as one from the hub."""
        return GridArtefact(self.model_stage, self.model_key, self.cell) if self.model_stage else None

    @property
    def test_set(self) -> GridArtefact:
        """The pair's prompts."""
        return GridArtefact("test_set", self.test_set_key, f"test set {self.test_name}")

    @property
    def completions(self) -> GridArtefact:
        """The model's completions of these prompts."""
        return GridArtefact("completions", self.completions_key, f"{self.cell} on {self.test_name}")

    @property
    def results(self) -> GridArtefact:
        """The verdicts on these completions."""
        return GridArtefact("results", self.results_key, f"{self.cell} on {self.test_name}")

    @property
    def quality(self) -> GridArtefact | None:
        """A linter's reports on a sample of these completions; None if none of them is in the sample."""
        return GridArtefact("quality", self.quality_key, f"code quality of {self.cell}") if self.quality_key else None


def grid_rows(plan: SweepPlan) -> list[GridRow]:
    """Return one row for each evaluation pair of a plan."""
    linted = {(one.cell.cell.id, one.pair.pair.test_set): one.node.key for one in plan.quality}
    return [row for cell in plan.cells for row in _rows_of(cell, linted)]


def _rows_of(plan: CellPlan, linted: Mapping[tuple[str, str], str]) -> list[GridRow]:
    cell, model = plan.cell, plan.model or plan.base.node
    return [
        GridRow(
            cell.id,
            cell.model,
            cell.recipe,
            cell.training_set,
            cell.seed,
            pair.pair.problem_set,
            pair.pair.perturbation,
            model.stage if model else "",
            model.key if model else "",
            pair.test_set.node.key,
            pair.completions.key,
            pair.results.key,
            pair.pair.draw,
            linted.get((cell.id, pair.pair.test_set), ""),
        )
        for pair in plan.pairs
    ]


class LogFile(logging.FileHandler):
    """Writes log records to a file; leaves out a record that can't be written, since no result depends on the log."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore the error: the terminal shows the message, and a traceback for each line would hide it."""

    def close(self) -> None:
        """Close the file, even if its last lines can't be written."""
        with contextlib.suppress(OSError):
            super().close()


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
        """The folder of the progress files."""
        return self.store.progress(self.name)

    @property
    def lease(self) -> str:
        """The name of the lease that the process running the sweep holds."""
        return f"{SWEEPS}{self.name}"

    def exists(self) -> bool:
        """Return whether the store has a sweep of this name."""
        return self.files.info("grid.parquet") is not None

    def publish(self) -> None:
        """Copy new and changed files into the object store; does nothing for a store on a disk."""
        self._mirror.publish()

    def is_running(self) -> bool:
        """Return whether a process is running the sweep."""
        return self.store.leases.is_alive(self.lease)

    def activities(self) -> dict[str, Activity]:
        """Return the activity of each task by its id; if no process runs the sweep, running ones count as stopped."""
        activities = read_activities(self.progress)
        if self.is_running():
            return activities
        dead = {a.id: a for a in activities.values() if a.state == RUNNING}
        return {**activities, **{name: dataclasses.replace(a, state=STOPPED, waits="") for name, a in dead.items()}}

    def require(self, also_known: Iterable[str] = ()) -> None:
        """Raise UsageError if there is no such sweep, and NewerStore if a newer raysweep wrote the store.

        `also_known`: further names that may be meant.
        """
        self.store.files.require_known()
        if not self.exists():
            names = (name.split("/") for name in self.store.files.infos("sweeps"))
            known = [parts[0] for parts in names if parts[1:] == ["grid.parquet"]]
            hint = did_you_mean(self.name, [*known, *also_known])
            listed = ", ".join(sorted(known)) or "none; give --storage another place if they lie elsewhere"
            raise UsageError(f"unknown sweep {self.name!r}{hint}; sweeps in {self.store.files}: {listed}")
        self._mirror.read_only()

    def claim(self, plan: SweepPlan, config_yaml: str) -> None:
        """Write the config and the grid of a plan, and the list of what it uses.

        Raises:
            UsageError: the sweep of this name has results that the plan doesn't contain.
        """
        self.files.await_root()
        self._mirror.pull()
        rows = grid_rows(plan)
        if refusal := self.refusal(plan):
            raise UsageError(refusal)
        write_uses(self.store, self.name, uses_of(plan.targets, self.store))  # before the grid, which names only a part
        self.path.mkdir(parents=True, exist_ok=True)
        write_rows(self.path / "grid.parquet", GridRow, rows, ["cell", "problem_set", "perturbation", "test_draw"])
        write_atomically(self.path / "config.yaml", config_yaml)
        self.publish()

    def refusal(self, plan: SweepPlan) -> str:
        """Return why a plan can't take this sweep's name; empty if it can.

        It can't if the sweep has results that the plan doesn't contain, since they would disappear from its report.
        """
        former = self._former_grid()
        planned = {row.results_key for row in grid_rows(plan)} if former else set()
        unplanned = [row.results for row in former if row.results_key not in planned]
        lost = [key for key, exists in self.store.survey(unplanned).items() if exists]
        if not lost:
            return ""
        changed = ""
        with contextlib.suppress(StoreError):
            changed = changes_in_words(self.config(), plan.config)
        reason = changed or "no setting changed, so a data file, a model or a version did"
        taken = {name.split("/")[0] for name in self.store.files.infos("sweeps")}
        free = next(name for number in itertools.count(2) if (name := f"{self.name}-{number}") not in taken)
        return (
            f"{count(len(lost), 'finished evaluation pair')} of the sweep {self.name!r} in {self.store.files} "
            f"{'is' if len(lost) == 1 else 'are'} not in this config: {reason}. Give this sweep another name "
            f"(--set name={free}) or another --storage, or remove {self}: the artefacts stay in the store"
        )

    def _former_grid(self) -> list[GridRow]:
        """Return the grid of the last run; an unreadable one counts as empty, since only `claim`'s check needs it."""
        try:
            return self.grid() if self.exists() else []
        except UnreadableTable:
            return []

    def grid(self) -> list[GridRow]:
        """Return the evaluation pairs."""
        return read_rows(self.path / "grid.parquet", GridRow)

    def grid_by_cell(self) -> dict[str, tuple[GridRow, list[str]]]:
        """Return the first evaluation pair of each cell, and the keys of the results of all of its pairs."""
        groups = read_groups(self.path / "grid.parquet", GridRow, "cell", "results_key")
        return {first.cell: (first, keys) for first, keys in groups}

    def config(self) -> SweepConfig:
        """Return the config of the last run."""
        return read_config(self.path / "config.yaml")

    @property
    def number_files(self) -> list[Path]:
        """The files that an analysis writes its numbers into."""
        linted = (QUALITY, QUALITY_MESSAGES) if self.config().evaluation.quality is not None else ()
        return [self.path / name for name in (*NUMBERS, *linted)]

    def scores(self) -> list[Score]:
        """Return the scores of the last analysis; there are none before the first."""
        path = self.path / SCORES
        return read_rows(path, Score) if path.is_file() else []

    def ledger(self) -> Ledger:
        """Return what the sweep has used of GPUs; raise StoreError if that file is damaged."""
        return Ledger(self.files)

    def frame(self) -> pandas.DataFrame:
        """Return the scores and the GPU-hours as a table; see `raysweep.load_results`."""
        import pandas

        scores = [dataclasses.asdict(score) for score in [*self.scores(), *self._gpu_hours()]]
        return self._signed(pandas.DataFrame(scores, columns=[field.name for field in dataclasses.fields(Score)]))

    def signature(self) -> str:
        """Return what the numbers of the last report rest on: settings and versions; empty before the first."""
        path = self.path / SIGNATURE
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""

    def write_signature(self, signature: str) -> None:
        """Write what the numbers rest on."""
        write_atomically(self.path / SIGNATURE, f"{signature}\n")

    def _signed(self, frame: pandas.DataFrame) -> pandas.DataFrame:
        frame.attrs["signature"] = self.signature()
        return frame

    def _gpu_hours(self) -> list[Score]:
        """Return the GPU-hours of each cell that has used some, which belong to no problem set."""
        hours = self.ledger().all_hours()
        cells = self.grid_by_cell() if hours else {}
        return [
            Score(row.model, row.recipe, row.training_set, row.seed, "", "", GPU_HOURS, hours[name], *UNKNOWN, n=0)
            for name, (row, _) in sorted(cells.items())
            if name in hours
        ]

    def write_scores(self, scores: Iterable[Score]) -> None:
        """Write the scores, sorted by model, test set and metric."""
        keys = ["model", "recipe", "training_set", "seed", "problem_set", "perturbation", "metric"]
        write_rows(self.path / SCORES, Score, scores, keys)

    def write_differences(self, differences: Iterable[Difference]) -> None:
        """Write the differences of cells to their baselines, sorted like scores."""
        keys = ["model", "recipe", "training_set", "seed", "against", "problem_set", "perturbation", "metric"]
        write_rows(self.path / DIFFERENCES, Difference, differences, keys)

    @contextlib.contextmanager
    def writing_problems(self) -> Iterator[RowWriter[ProblemScore]]:
        """Give what writes the verdicts by problem, cell by cell; the file appears when the block ends well."""
        draft = self.path / f".{PROBLEMS}.{uuid.uuid4().hex[:8]}"
        try:
            with RowWriter(draft, ProblemScore) as writer:
                yield writer
            draft.replace(self.path / PROBLEMS)
        finally:
            draft.unlink(missing_ok=True)

    def problems_by_cell(self) -> Iterator[list[ProblemScore]]:
        """Yield the verdicts by problem of each cell; nothing before the first analysis."""
        path = self.path / PROBLEMS
        for index in range(block_count(path) if path.is_file() else 0):
            yield read_block(path, ProblemScore, index)

    def problems_frame(self) -> pandas.DataFrame:
        """Return the verdicts by problem as a table; see `raysweep.load_problems`."""
        return self._analysed(PROBLEMS)

    def differences_frame(self) -> pandas.DataFrame:
        """Return the differences of cells to their baselines as a table; see `raysweep.load_differences`."""
        return self._analysed(DIFFERENCES)

    def _analysed(self, name: str) -> pandas.DataFrame:
        path = self.path / name
        if not path.is_file():
            raise UsageError(f"the sweep {self.name!r} has no {name} yet; `raysweep report {self.name}` writes it")
        return self._signed(frame_of(path))

    def write_quality(self, files: Iterable[LintedFile], messages: Iterable[LintedMessage]) -> None:
        """Write the linted files and their messages, sorted by cell, problem set and problem."""
        keys = ["model", "recipe", "training_set", "seed", "problem_set", "task_id"]
        write_rows(self.path / QUALITY, LintedFile, files, keys)
        write_rows(self.path / QUALITY_MESSAGES, LintedMessage, messages, [*keys, "line", "column", "code"])

    def quality_frame(self, *, messages: bool = False) -> pandas.DataFrame:
        """Return the linted files, or their messages, as a table; see `raysweep.load_quality`."""
        if self.config().evaluation.quality is None:
            raise UsageError(
                f"the sweep {self.name!r} lints no completions; run it with `quality: {{}}` under `evaluation:`"
            )
        frame = self._analysed(QUALITY_MESSAGES if messages else QUALITY)
        if messages and "linter" not in frame:  # of an analysis when there was one linter
            frame.insert(6, "linter", "pylint")
        return frame

    def require_numbers(self) -> None:
        """Raise UnreadableTable if a file with numbers is missing or damaged."""
        for path in self.number_files:
            block_count(path)

    def add_run(self, run: dict[str, Any]) -> None:
        """Append a line about a run: its start, duration, machine, number of cells and errors."""
        path = self.path / "runs.jsonl"
        torn = path.is_file() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps(run) + "\n")

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs, oldest first; lines that a crash cut short are left out."""
        path = self.path / "runs.jsonl"
        runs = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
            try:
                run = json.loads(line)
            except ValueError:
                continue
            if isinstance(run, dict):
                runs.append(run)
        return runs

    def leakage(self) -> str:
        """Return the newest run's sentence on training rows that give problems away; empty if no run looked for any."""
        return next((str(run["leakage"]) for run in reversed(self.runs()) if run.get("leakage")), "")

    def start_log(self) -> None:
        """Write this process's log, with tracebacks, to raysweep.log from now on, and no longer to another sweep's."""
        for handler in [handler for handler in log.handlers if isinstance(handler, LogFile)]:
            log.removeHandler(handler)
            handler.close()
        log.addHandler(LogFile(self.path / LOG))
        log.info("log: %s", self.path / LOG)

    def errors(self) -> dict[str, str]:
        """Return the errors of failed cells by id, as of the last run that worked on them."""
        activities = read_activities(self.progress).values()
        return {activity.id: activity.error for activity in activities if activity.state == FAILED}


def open_folder(name: str, storage: str | None, also_known: Iterable[str] = ()) -> SweepFolder:
    """Open a sweep's folder; raise UsageError if the store has no such sweep. `also_known`: see `require`."""
    folder = SweepFolder(open_store(storage), name)
    folder.require(also_known)
    return folder
