"""Keeps beside the grid of a large sweep that all of its pairs have results, so that its status is told in a second.

Else each of some 200,000 pairs is looked up. A summary holds while the grid and the folders of results are as they were
when it was written: an artefact that is made or removed changes the time of the folder that it lies in. It is a cache:
nothing is lost with it, and a store that isn't on a disk has none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass

from raysweep.storage.backends import write_atomically
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow

SUMMARY = "summary.json"
FORM = [1, *(field.name for field in dataclasses.fields(GridRow))]
"""The form of the file: a summary of another raysweep with another grid isn't read."""
SETTLED_NS = 5 * 10**9
"""A change so short a time before the summary was written may have the time of a later change."""


@dataclass(frozen=True)
class FullCell:
    """A cell whose `pairs` evaluation pairs all have results."""

    first: GridRow
    pairs: int
    base: str | None  # what the adapter in its model's folder names; empty: there is none; None: not known


Times = dict[str, int]
"""Of the grid and of each folder of results: when it was changed, in nanoseconds, by the disk's clock."""


def times_of(folder: SweepFolder) -> Times:
    """Return when what a summary rests on was changed; empty if it can't be known, as in an object store."""
    if folder.store.files.local is None:
        return {}
    try:
        with os.scandir(folder.store.files.local / "artefacts" / "results") as parents:
            times = {parent.name: parent.stat().st_mtime_ns for parent in parents}
        return {**times, "grid": (folder.path / "grid.parquet").stat().st_mtime_ns}
    except OSError:
        return {}


def read_summary(folder: SweepFolder) -> list[FullCell] | None:
    """Return the cells of a sweep whose pairs all have results; None if that isn't known."""
    path, times = folder.path / SUMMARY, times_of(folder)
    try:
        written, text = path.stat().st_mtime_ns, path.read_text(encoding="utf-8")
        summary = json.loads(text)
        is_current = summary["form"] == FORM and summary["times"] == times
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not times or not is_current or max(times.values()) > written - SETTLED_NS:
        return None
    return [FullCell(GridRow(*fields), pairs, base) for *fields, pairs, base in summary["cells"]]


def write_summary(folder: SweepFolder, times: Times, cells: Iterable[FullCell]) -> None:
    """Keep that all pairs of a sweep have results; does nothing where that can't be kept.

    `times`: `times_of`, from before the results were looked up. `cells`: all of the sweep, in the order of the grid.
    """
    if not times:
        return
    rows = [[*dataclasses.astuple(cell.first), cell.pairs, cell.base] for cell in cells]
    with contextlib.suppress(OSError):  # such as a folder that only others may write
        write_atomically(folder.path / SUMMARY, json.dumps({"form": FORM, "times": times, "cells": rows}))
