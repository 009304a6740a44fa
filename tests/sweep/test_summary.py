"""The status of a large full sweep is told from its summary, as long as no folder of results has changed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from raysweep.rows.parquet import write_rows
from raysweep.storage.artefacts import MANIFEST
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridArtefact, GridRow
from raysweep.sweep.overview import status
from raysweep.sweep.overview.status import LISTED, cell_states
from raysweep.sweep.summary import SETTLED_NS, SUMMARY, read_summary

CELLS = LISTED + 2


def row(cell: int, pair: int) -> GridRow:
    key = f"{cell:02x}{pair:02x}"
    return GridRow(f"m.c{cell:02}", "m", "r", "C1", cell, "p", f"C{pair}", "model", f"{cell:04x}", "t", "c", f"{key}r")


def put(store: Store, artefact: GridArtefact, **files: str) -> Path:
    folder = Path(store.folder(artefact))
    folder.mkdir(parents=True)
    for name, text in {MANIFEST: "{}", **files}.items():
        (folder / name.replace("_json", ".json")).write_text(text)
    return folder


@pytest.fixture
def folder(tmp_path):
    """A sweep of more cells than are listed, whose results were all made a while ago."""
    store = Store(tmp_path / "store")
    found = SweepFolder(store, "large")
    found.path.mkdir(parents=True)
    rows = [row(cell, pair) for cell in range(CELLS) for pair in range(2)]
    write_rows(found.path / "grid.parquet", GridRow, rows, ["cell", "perturbation"])
    for one in rows:
        put(store, one.results)
        if one.perturbation == "C0" and one.seed:  # the first cell's model is gone
            put(store, one.weights, adapter_config_json=json.dumps({"base_model_name_or_path": f"/b{one.seed}"}))
    settle(found)
    return found


def settle(folder: SweepFolder) -> None:
    """Make all changes of results and grid old."""
    results = Path(folder.store.root, "artefacts", "results")
    for path in (*results.iterdir(), folder.path / "grid.parquet"):
        at = path.stat().st_mtime_ns - 2 * SETTLED_NS
        os.utime(path, ns=(at, at))


def test_a_summary_tells_the_same_and_looks_up_no_pair(folder, monkeypatch):
    before = cell_states(folder)
    assert {(cell.state, cell.done, cell.pairs) for cell in before} == {("done", 2, 2)}
    assert [before[0].model, before[1].base] == ["", "/b1"]
    monkeypatch.setattr(status, "_judged_cells", None)
    assert cell_states(folder) == before


def test_a_result_that_goes_or_a_grid_that_is_written_anew_ends_a_summary(folder):
    cell_states(folder)
    assert read_summary(folder) is not None
    shutil.rmtree(folder.store.folder(row(3, 1).results))
    assert cell_states(folder)[3].done == 1
    put(folder.store, row(3, 1).results)
    settle(folder)
    cell_states(folder)
    write_rows(folder.path / "grid.parquet", GridRow, [row(cell, 0) for cell in range(CELLS)], ["cell"])
    assert {cell.pairs for cell in cell_states(folder)} == {1}


def test_a_model_that_goes_or_comes_is_seen_beside_a_summary(folder):
    cell_states(folder)
    shutil.rmtree(folder.store.folder(row(2, 0).weights))
    put(folder.store, row(0, 0).weights, adapter_config_json=json.dumps({"base_model_name_or_path": "/b0"}))
    assert read_summary(folder) is not None
    cells = cell_states(folder)
    assert (cells[0].base, cells[2].model, cells[3].base) == ("/b0", "", "/b3")


@pytest.mark.parametrize("text", ["", "[]", '{"form": [0], "times": {}, "cells": []}'])
def test_a_torn_summary_or_one_of_another_form_is_left_alone(folder, text):
    before = cell_states(folder)
    (folder.path / SUMMARY).write_text(text)
    assert read_summary(folder) is None and cell_states(folder) == before


def test_a_summary_that_was_written_just_after_a_change_is_not_trusted(folder):
    results = Path(folder.store.root, "artefacts", "results")
    os.utime(next(results.iterdir()))
    cell_states(folder)
    assert (folder.path / SUMMARY).is_file() and read_summary(folder) is None
