"""All sweeps of a store: what each one evaluates, when it was last run, and its pass@1 on clean prompts."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from raysweep.errors import RaysweepError
from raysweep.records import CLEAN, Score
from raysweep.rows.parquet import from_bytes
from raysweep.storage.store import Store
from raysweep.sweep.folder import sweeps_in
from raysweep.sweep.grid import GridRow
from raysweep.sweep.numbers import SCORES

log = logging.getLogger("raysweep")

R = TypeVar("R")


@dataclass(frozen=True)
class SweepLine:
    """One sweep. `passed`: the lowest and the highest clean pass@1 by problem set; empty before its first report."""

    sweep: str
    models: tuple[str, ...]
    problem_sets: tuple[str, ...]
    last_run: float  # its start, in seconds since the epoch
    passed: Mapping[str, tuple[float, float]]


def all_sweeps(store: Store) -> list[SweepLine]:
    """Return the sweeps of a store, that of the last run first; one that can't be read is left out with a warning."""
    return sorted(_lines(store), key=lambda line: -line.last_run)


def _rows(store: Store, name: str, record: type[R]) -> list[R]:
    """Return the rows of one file, since a folder in an object store is fetched whole; none if it isn't there."""
    content = store.files.read(name)
    return from_bytes(content, f"{store.files}/{name}", record) if content is not None else []


def _lines(store: Store) -> Iterator[SweepLine]:
    for name, started in sweeps_in(store).items():
        try:
            rows = _rows(store, f"sweeps/{name}/grid.parquet", GridRow)
            scores = _rows(store, f"sweeps/{name}/{SCORES}", Score)
        except RaysweepError as error:
            log.warning("%s: %s", name, error)
            continue
        passed: dict[str, list[float]] = {}
        for score in scores:
            if (score.perturbation, score.metric) == (CLEAN, "pass@1") and not math.isnan(score.value):
                passed.setdefault(score.problem_set, []).append(score.value)
        yield SweepLine(
            name,
            tuple(dict.fromkeys(row.model for row in rows)),
            tuple(dict.fromkeys(row.problem_set for row in rows)),
            started,
            {problems: (min(values), max(values)) for problems, values in passed.items()},
        )
