"""The list of all sweeps of a store."""

from __future__ import annotations

from raysweep.records import Score
from raysweep.rows.parquet import to_bytes
from raysweep.storage.files import Files
from raysweep.storage.store import Store
from raysweep.sweep.grid import GridRow
from raysweep.sweep.overview.sweeps import all_sweeps


def test_two_files_of_a_sweep_are_read_and_what_cannot_be_read_is_left_out(tmp_path, monkeypatch, caplog):
    store = Store(tmp_path)
    store.require_writable()
    keys = ("1" * 64, "2" * 64, "3" * 64, "4" * 64)
    rows = [GridRow(f"m{n}", f"m{n}", "", "", 1, problems, "clean", "", *keys) for n in (1, 2) for problems in "pq"]
    passed = [
        Score(f"m{n}", "", "", 1, "p", perturbation, "pass@1", value / n, 0.0, 1.0, n=9)
        for n in (1, 2)
        for perturbation, value in (("clean", 0.5), ("C1", 0.1))
    ]
    store.files.write("sweeps/s/grid.parquet", to_bytes(GridRow, rows, []))
    store.files.write("sweeps/s/scores.parquet", to_bytes(Score, passed, []))
    store.files.write("sweeps/s/report.html", "large")
    store.files.write("sweeps/torn/grid.parquet", "torn")
    read: list[str] = []
    monkeypatch.setattr(Files, "read", lambda files, name: read.append(name) or (tmp_path / name).read_bytes())
    (line,) = all_sweeps(store)
    assert (line.sweep, line.models, line.problem_sets) == ("s", ("m1", "m2"), ("p", "q"))
    assert line.passed == {"p": (0.25, 0.5)}
    assert sorted(read) == ["sweeps/s/grid.parquet", "sweeps/s/scores.parquet", "sweeps/torn/grid.parquet"]
    assert "sweeps/torn/grid.parquet can't be read" in caplog.text
