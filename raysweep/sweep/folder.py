"""Reads and writes the folder of a sweep, ``<storage>/sweeps/<name>/``.

It holds config.yaml (resolved), grid.parquet, candidates.parquet (cells that only train, where some are chosen from),
uses.parquet (all artefacts that the sweep uses), runs.jsonl (one line for each run), ledger/ (GPU time), progress/,
scores.parquet, problems.parquet, differences.parquet, quality.parquet and quality_messages.parquet (where completions
are linted), summary.json (of a large sweep that is full), signature.txt, report.html, tables/, raysweep.log and tune/.
The artefacts themselves lie in the store; the grid names them by key. If the store is in an object store, the folder's
small files are written on this machine and copied there (`raysweep.storage.copies`). grid.py and numbers.py know what
is in the grid and in the tables of numbers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.engine import ledger
from raysweep.engine.ledger import Ledger
from raysweep.engine.progress import FAILED, RUNNING, STOPPED, Activity, read_activities
from raysweep.errors import StoreError, UsageError, did_you_mean, escaped
from raysweep.machine import CPU_CAPABILITY
from raysweep.rows.parquet import UnreadableTable, read_groups, read_rows, write_rows
from raysweep.storage.backends import write_atomically
from raysweep.storage.copies import Mirror
from raysweep.storage.files import Files
from raysweep.storage.leases import SWEEPS
from raysweep.storage.store import Store, open_store
from raysweep.storage.uses import write_uses
from raysweep.sweep.grid import CandidateRow, GridRow, candidate_rows, grid_rows, with_choices
from raysweep.units import count

if TYPE_CHECKING:  # what knows configs and plans is slow to import for `raysweep status`
    from raysweep.config.schema import SweepConfig
    from raysweep.planning.plan import SweepPlan

log = logging.getLogger("raysweep")

LEDGER = f"{ledger.FOLDER}/{ledger.FILE}"
SHARED_FOLDERS = ("progress", "tune", ledger.FOLDER)
"""Sub-folders that processes of several machines write into."""
LOG = "raysweep.log"
CANDIDATES = "candidates.parquet"


class LogFile(logging.FileHandler):
    """Writes log records to a file; leaves out a record that can't be written, since no result depends on the log."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore the error: the terminal shows the message, and a traceback for each line would hide it."""

    def close(self) -> None:
        with contextlib.suppress(OSError):  # its last lines may not be writable
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
        return self._mirror.path

    def create(self) -> None:
        self._mirror.create()

    @property
    def progress(self) -> Files:
        return self.store.progress(self.name)

    @property
    def lease(self) -> str:
        return f"{SWEEPS}{self.name}"

    def exists(self) -> bool:
        return self.files.info("grid.parquet") is not None

    def publish(self) -> None:
        """Copy new and changed files into the object store; does nothing for a store on a disk."""
        self._mirror.publish()

    def is_running(self) -> bool:
        return self.store.leases.is_alive(self.lease)

    def activities(self) -> dict[str, Activity]:
        """Return the activity of each task by its id; if no process runs the sweep, running ones count as stopped."""
        activities = read_activities(self.progress)
        if self.is_running():
            return activities
        dead = {a.id: a for a in activities.values() if a.state == RUNNING}
        return {**activities, **{name: dataclasses.replace(a, state=STOPPED, waits="") for name, a in dead.items()}}

    def require(self, also_known: Iterable[str] = ()) -> None:
        """Raise UsageError without such a sweep, OtherSchema if another raysweep wrote it. `also_known`: more names."""
        self.store.files.require_known()
        if not self.exists():
            known = sweeps_in(self.store)
            hint = did_you_mean(self.name, [*known, *also_known])
            listed = ", ".join(sorted(known)) or "none; give --storage another place if they lie elsewhere"
            raise UsageError(f"unknown sweep {self.name!r}{hint}; sweeps in {self.store.files}: {listed}")
        self._mirror.read_only()

    def claim(self, plan: SweepPlan, config_yaml: str) -> None:
        """Write config, grid and list of uses; raise UsageError if the sweep has results that the plan lacks."""
        from raysweep.planning.uses import uses_of

        self.files.await_root()
        self._mirror.pull()
        rows = grid_rows(plan)
        if refusal := self.refusal(plan):
            raise UsageError(refusal)
        write_uses(self.store, self.name, uses_of(plan.targets, self.store))  # before the grid, which names only a part
        self.create()
        write_rows(self.path / "grid.parquet", GridRow, rows, ["cell", "problem_set", "perturbation", "test_draw"])
        if (candidates := candidate_rows(plan)) or (self.path / CANDIDATES).is_file():
            write_rows(self.path / CANDIDATES, CandidateRow, candidates, [])
        write_atomically(self.path / "config.yaml", config_yaml)
        self.publish()

    def refusal(self, plan: SweepPlan, *, lacks_inputs: bool = False) -> str:
        """Return why a plan can't take this sweep's name; empty if it can.

        It can't if the sweep has results that the plan doesn't contain, since they would disappear from its report.
        `lacks_inputs`: files, compilers or others aren't here, so that keys of the plan fit no results; then a changed
        setting alone is a reason.
        """
        from raysweep.config.changes import changes_in_words

        former: list[GridRow] = []
        with contextlib.suppress(UnreadableTable):  # such a grid counts as empty
            former = self.grid() if self.exists() else []
        planned = {row.results_key for row in grid_rows(plan)} if former else set()
        unplanned = [row.results for row in former if row.results_key not in planned]
        lost = {key for key, exists in self.store.survey(unplanned).items() if exists}
        if not lost:
            return ""
        changed = ""
        with contextlib.suppress(StoreError):
            changed = changes_in_words(self.config(), plan.config)
        if lacks_inputs and not changed:
            return ""
        reason = changed or "no setting changed, so a data file, a model or a version did"
        if not changed and (cause := self._cause(plan, [row for row in former if row.results_key in lost])):
            reason += f": {cause}"
        taken = {name.split("/")[0] for name in self.store.files.infos("sweeps")}
        free = next(name for number in itertools.count(2) if (name := f"{self.name}-{number}") not in taken)
        return (
            f"{count(len(lost), 'finished evaluation')} of the sweep {self.name!r} in {self.store.files} "
            f"{'is' if len(lost) == 1 else 'are'} not in this config: {reason}. Give this sweep another name "
            f"(--set name={free}; of `evaluate`: --sweep {free}) or another --storage, or remove {self}: the artefacts "
            "stay in the store"
        )

    def _cause(self, plan: SweepPlan, lost: Iterable[GridRow]) -> str:
        from raysweep.planning.key_changes import changes_since
        from raysweep.planning.plan import ResultsPlan

        stored = {(row.cell, row.problem_set, row.perturbation, row.test_draw): row.results_key for row in lost}
        for cell in plan.cells:
            for pair in cell.pairs:
                place = (cell.cell.id, pair.pair.problem_set, pair.pair.perturbation, pair.pair.draw)
                if place in stored:
                    return changes_since(stored[place], ResultsPlan(pair.results, cell, pair), self.store)
        return ""

    def grid(self) -> list[GridRow]:
        """Return the evaluation pairs, with the models that were chosen where they are chosen among several."""
        return with_choices(read_rows(self.path / "grid.parquet", GridRow), self.store)

    def grid_by_cell(self) -> dict[str, tuple[GridRow, list[str]]]:
        """Return the first evaluation pair of each cell, and the keys of the results of all of its pairs."""
        groups = read_groups(self.path / "grid.parquet", GridRow, "cell", "results_key")
        firsts = with_choices((first for first, _ in groups), self.store)
        return {first.cell: (first, keys) for first, (_, keys) in zip(firsts, groups, strict=True)}

    def candidates(self) -> list[CandidateRow]:
        path = self.path / CANDIDATES
        return read_rows(path, CandidateRow) if path.is_file() else []

    def config(self) -> SweepConfig:
        from raysweep.config.loading import read_config

        return read_config(self.path / "config.yaml")

    def ledger(self) -> Ledger:
        """Return what the sweep has used of GPUs; raise StoreError if that file is damaged."""
        return Ledger(self.files)

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
        """Return the newest run's sentence on training rows that leak test problems; empty if no run looked for any."""
        return next((str(run["leakage"]) for run in reversed(self.runs()) if run.get("leakage")), "")

    def left_out(self) -> dict[str, str]:
        """Return by model, in words, which tensors of its files it leaves out, as the runs found; none: it isn't in."""
        return {model: words for run in self.runs() for model, words in run.get("left_out", {}).items()}

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

    def cpu_capabilities(self) -> dict[str, int]:
        """Count the models that were trained or edited on CPUs of each capability: another one rounds otherwise.

        Models of accelerators don't count.
        """
        models = {row.model_key: row.weights for row in self.grid() if row.weights is not None}
        named = (self.store.counts(weights).get(CPU_CAPABILITY) for weights in models.values())
        return dict(sorted(Counter(str(capability) for capability in named if capability).items()))


def sweeps_in(store: Store) -> dict[str, float]:
    """Return the names of a store's sweeps, with the time at which the last run of each wrote its grid (epoch)."""
    parted = ((*path.partition("/"), info.mtime_ns / 1e9) for path, info in store.files.infos("sweeps").items())
    return {name: seconds for name, _, file, seconds in parted if file == "grid.parquet"}


def open_folder(name: str, storage: str | None, also_known: Iterable[str] = ()) -> SweepFolder:
    """Raise UsageError if the store has no such sweep. `also_known`: see `require`."""
    folder = SweepFolder(open_store(storage), name)
    folder.require(also_known)
    return folder


def capabilities_text(capabilities: Mapping[str, int]) -> str:
    """Return ``AVX2 (2 models), AVX512 (4 models)``."""
    return ", ".join(f"{capability} ({count(number, 'model')})" for capability, number in capabilities.items())
