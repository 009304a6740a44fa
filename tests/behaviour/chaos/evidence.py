"""What a store shows about a sweep: what is safe, how far each part is, and the results to compare.

Everything is read from files, as they lie there at some moment. Where unfinished work lies is known to `checkpoints`,
`blocks` and `holders` alone.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from raysweep.engine.progress import DONE, RUNNING
from tests.behaviour.chaos.parts import folder_in

STAGES = ("waiting", "making", "starting", "training", "generating", "executing")
COMPLETIONS, VERDICTS = "completions", "verdicts"
CARD, ADAPTER = "README.md", "adapter_config.json"
"""Files of an adapter that name its base model by its path, and so differ from store to store."""


@dataclass(frozen=True)
class Manifest:
    """A committed artefact."""

    stage: str
    counts: Mapping[str, Any]
    files: Mapping[str, str]  # sha256 by name
    identity: tuple[int, str]  # when the manifest was written, sha256 of its bytes


@dataclass(frozen=True)
class Place:
    """How far an activity is, in steps or rows of its stage. `since`: when the stage began, seconds since the epoch."""

    stage: str
    done: int
    state: str
    since: float = 0.0

    def is_past(self, other: Place) -> bool:
        """Tell whether it is further than another."""
        if self.state == DONE:
            return True
        mine, theirs = (STAGES.index(p.stage) if p.stage in STAGES else 0 for p in (self, other))
        return mine > theirs or (mine == theirs and self.done > other.done)


@dataclass(frozen=True)
class Snapshot:
    """A store at one moment; artefacts and units of work are named "stage/key"."""

    at: float  # seconds since the epoch
    seen: float  # likewise, when the look was over: what was written until then is part of it
    places: Mapping[str, Place]  # of the activities at work
    manifests: Mapping[str, Manifest]
    checkpoints: Mapping[str, int]  # steps of the newest complete one
    blocks: Mapping[str, frozenset[str]]  # rows by their keys, under "stage/key/completions" or ".../verdicts"
    written: Mapping[str, float]  # when the newest block of these was written
    holders: Mapping[str, int]  # pid of the process that makes it


def snapshot(storage: Path, sweep: str) -> Snapshot:
    """Look at a store whose sweep may go on meanwhile: what is told to be done is looked at before what is safe."""
    at = time.time()
    at_work = {name: place for name, place in places(storage, sweep).items() if place.state == RUNNING}
    steps: dict[str, int] = {}
    for name, step, _ in [*checkpoints(storage), *checkpoints(storage)]:  # one may be replaced during a look
        steps[name] = max(step, steps.get(name, 0))
    rows: dict[str, frozenset[str]] = {}
    newest: dict[str, float] = {}
    for name, keys, written in blocks(storage):
        rows[name] = rows.get(name, frozenset()) | keys
        newest[name] = max(written, newest.get(name, 0.0))
    seen = time.time()
    return Snapshot(at, seen, at_work, manifests(storage), steps, rows, newest, dict(holders(storage)))


def manifests(storage: Path) -> dict[str, Manifest]:
    """Return the committed artefacts."""
    found = {}
    for path in _files(storage, "artefacts/*/*/*/manifest.json"):
        with contextlib.suppress(OSError):
            data, written = path.read_bytes(), path.stat().st_mtime_ns
            facts = json.loads(data)
            files = {name: entry["sha256"] for name, entry in facts["files"].items()}
            identity = (written, hashlib.sha256(data).hexdigest())
            found[f"{facts['stage']}/{facts['key']}"] = Manifest(facts["stage"], facts["counts"], files, identity)
    return found


def places(storage: Path, sweep: str) -> dict[str, Place]:
    """Return what each part of a sweep says it is doing."""
    found = {}
    for path in _files(storage, f"sweeps/{sweep}/progress/[!.]*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            told = json.loads(path.read_text())
            found[told["id"]] = Place(told["stage"], told["done"], told["state"], _began(told))
    return found


def _began(told: Mapping[str, Any]) -> float:
    """Return when an activity's stage began, by its latest lines; 0.0 if they don't tell."""
    first = f"{told['stage']} 0/"
    times = [line[:19] for line in told.get("tail", ()) if line[20:].startswith(first)]
    return time.mktime(time.strptime(times[-1], "%Y-%m-%d %H:%M:%S")) if times else 0.0


def checkpoints(storage: Path) -> Iterator[tuple[str, int, float]]:
    """Yield the complete checkpoints: artefact, steps, when written."""
    for mark in _files(storage, "unfinished/*/*/step-*/COMPLETE"):
        with contextlib.suppress(OSError):
            _, stage, key, folder, _ = mark.relative_to(storage).parts
            step = re.match(r"step-(\d+)", folder)
            assert step is not None
            yield f"{stage}/{key}", int(step[1]), mark.stat().st_mtime


def blocks(storage: Path) -> Iterator[tuple[str, frozenset[str], float]]:
    """Yield the blocks: unit of work and what the rows are, keys of the rows, when written."""
    for path in _files(storage, "unfinished/*/*/*/[!.]*.json"):
        _, stage, key, what, _ = path.relative_to(storage).parts
        kind = what.partition("-")[0]  # verdicts lie under the limits that they hold for
        if kind in (COMPLETIONS, VERDICTS):
            with contextlib.suppress(OSError, ValueError):
                written = path.stat().st_mtime
                yield f"{stage}/{key}/{kind}", _keys(path, written), written


def holders(storage: Path) -> Iterator[tuple[str, int]]:
    """Yield who makes what."""
    for path in _files(storage, "leases/[!.]*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            yield path.stem.replace("-", "/", 1), int(json.loads(path.read_text())["pid"])


def content(storage: Path, sweep: str) -> dict[str, Any]:
    """Return all that two runs of one sweep must agree in: files by artefact, verdicts without times, and scores."""
    from raysweep.records import ReferenceRun, Result, Score
    from raysweep.rows.parquet import read_rows

    found: dict[str, Any] = {}
    for name, manifest in manifests(storage).items():
        if manifest.stage == "references":
            references = read_rows(folder_in(storage, name) / "rows.parquet", ReferenceRun)
            found[name] = [(row.task_id, row.outcome, row.oracle) for row in references]
            continue
        if manifest.stage != "results":
            found[name] = {file: sha for file, sha in manifest.files.items() if file not in (CARD, ADAPTER)}
            if ADAPTER in manifest.files:
                found[name][ADAPTER] = _adapter(folder_in(storage, name) / ADAPTER)
            continue
        rows = read_rows(folder_in(storage, name) / "rows.parquet", Result)
        found[name] = [(row.task_id, row.sample, row.outcome, row.detail, row.program_sha) for row in rows]
    scores = read_rows(storage / "sweeps" / sweep / "scores.parquet", Score)
    found["scores"] = [repr(score) for score in scores]  # a NaN is equal to itself here
    return found


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Name what two contents don't agree in, with the first thing that differs."""
    names = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    return [f"{name}: {_first_difference(one.get(name), other.get(name))}" for name in names]


def _adapter(path: Path) -> dict[str, Any]:
    """Return an adapter's settings without its base's path, lists sorted: PEFT writes sets, in any order."""
    settings = json.loads(path.read_text())
    del settings["base_model_name_or_path"]
    return {name: sorted(value) if isinstance(value, list) else value for name, value in settings.items()}


def _first_difference(one: Any, other: Any) -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        one, other = (sorted(content.items()) for content in (one, other))
    pairs = zip(one, other, strict=False) if isinstance(one, list) and isinstance(other, list) else [(one, other)]
    return next((f"{a!r}, not {b!r}" for a, b in pairs if a != b), "not as many rows")


def _files(storage: Path, pattern: str) -> list[Path]:
    """Return the files of a pattern; folders may vanish meanwhile, which `Path.glob` takes ill."""
    return [storage / name for name in glob.glob(pattern, root_dir=storage)]  # noqa: PTH207


@lru_cache(maxsize=65536)
def _keys(path: Path, written: float) -> frozenset[str]:
    """Return the keys of a block's rows, read once for each time it was written."""
    return frozenset(json.loads(path.read_text()))
