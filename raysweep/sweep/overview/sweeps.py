"""All sweeps of a store: what each one evaluates, when it was last run, and its pass@1 on clean prompts."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from raysweep.errors import RaysweepError
from raysweep.records import CLEAN
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder, sweeps_in
from raysweep.sweep.numbers import SavedNumbers

log = logging.getLogger("raysweep")


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


def _lines(store: Store) -> Iterator[SweepLine]:
    for name, started in sweeps_in(store).items():
        folder = SweepFolder(store, name)
        try:
            folder.require()
            rows, scores = folder.grid(), SavedNumbers(folder).scores()
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
