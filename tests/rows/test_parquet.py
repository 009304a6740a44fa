"""Records and Parquet."""

from __future__ import annotations

import math

import pyarrow.parquet
import pytest

from raysweep.analysis.sections.base import ShownText
from raysweep.errors import OtherSchema
from raysweep.records import Completion, PromptPair, Score, TrainingRow
from raysweep.rows.parquet import (
    UnreadableTable,
    count_rows,
    count_values,
    read_groups,
    read_rows,
    read_rows_of,
    write_rows,
)


def completion(task: str, sample: int) -> Completion:
    return Completion(task, sample, "    return 1\n", "eos", 4, "0" * 64)


def test_rows_come_back_equal_and_sorted(tmp_path):
    rows = [completion("b", 0), completion("a", 1), completion("a", 0)]
    assert write_rows(tmp_path / "x.parquet", Completion, rows, ["task_id", "sample"]) == 3
    assert read_rows(tmp_path / "x.parquet", Completion) == [rows[2], rows[1], rows[0]]
    write_rows(tmp_path / "y.parquet", Completion, rows[::-1], ["task_id", "sample"])
    assert (tmp_path / "x.parquet").read_bytes() == (tmp_path / "y.parquet").read_bytes()
    write_rows(tmp_path / "x", Completion, [], ["task_id"])
    assert read_rows(tmp_path / "x", Completion) == []
    assert pyarrow.parquet.read_schema(tmp_path / "x").names[0] == "task_id", "an empty table keeps its schema"


def test_groups_have_their_first_row_and_the_values_of_a_column(tmp_path):
    rows = [completion("b", 1), completion("a", 1), completion("a", 0)]
    write_rows(tmp_path / "x", Completion, rows, ["task_id", "sample"])
    assert read_groups(tmp_path / "x", Completion, "task_id", "sample") == [(rows[2], [0, 1]), (rows[0], [1])]
    write_rows(tmp_path / "none", Completion, [], ["task_id"])
    assert read_groups(tmp_path / "none", Completion, "task_id", "sample") == []


def test_rows_of_one_value_are_read_alone(tmp_path):
    rows = [completion("a", 0), completion("a", 1), completion("b", 0)]
    write_rows(tmp_path / "x", Completion, rows, ["task_id", "sample"])
    assert read_rows_of(tmp_path / "x", Completion, "task_id", ["a"]) == rows[:2]
    assert count_rows(tmp_path / "x") == len(rows)
    assert read_rows_of(tmp_path / "x", Completion, "task_id", ["c"]) == []
    shown = read_rows_of(tmp_path / "x", ShownText, "task_id", ["a", "b"])
    assert shown == [ShownText(row.task_id, row.sample, row.text) for row in rows]


def test_missing_values_and_nan_survive(tmp_path):
    row = TrainingRow("1", "1", "i", "", "o", "python", "clean", False, "i", "", rejected=None, context="{}")
    write_rows(tmp_path / "t", TrainingRow, [row], ["row_id"])
    assert read_rows(tmp_path / "t", TrainingRow) == [row]
    score = Score("m", "none", "base", 1, "p", "C1", "RD", math.nan, math.nan, math.nan, 3, "clean pass@1 is 0")
    write_rows(tmp_path / "s", Score, [score], ["model"])
    assert math.isnan(read_rows(tmp_path / "s", Score)[0].value)
    stops = {"t1": ("\ndef", "\nclass"), "t2": ()}  # several texts in a field
    pairs = [PromptPair("p", "C1", task, *"abcd", stop, True, 1.0, 0.0, 3) for task, stop in stops.items()]
    for rows in (pairs, []):
        write_rows(tmp_path / "x", PromptPair, rows, ["task_id"])
        assert read_rows(tmp_path / "x", PromptPair) == rows


@pytest.mark.parametrize(("schema", "age"), [(2, "an older"), (99, "a newer")])
def test_another_schema_is_refused(tmp_path, schema, age):
    write_rows(tmp_path / "x", Completion, [completion("a", 0)], ["task_id"])
    table = pyarrow.parquet.read_table(tmp_path / "x")
    pyarrow.parquet.write_table(table.replace_schema_metadata({"raysweep.schema_version": str(schema)}), tmp_path / "x")
    with pytest.raises(OtherSchema, match=rf"was written by {age} raysweep \(schema {schema}, "):
        read_rows(tmp_path / "x", Completion)


def test_a_torn_or_missing_file_is_reported(tmp_path):
    write_rows(tmp_path / "x", Completion, [completion("a", 0)], ["task_id"])
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-20])
    for name in ("x", "nowhere"):
        with pytest.raises(UnreadableTable, match=f"{name} can't be read"):
            read_rows(tmp_path / name, Completion)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_rows(tmp_path / "x", Completion, [completion("a", 0)], ["task_id"])

    def half(table, path, **more):
        path.write_bytes(b"PAR1")
        raise OSError("disk full")

    monkeypatch.setattr(pyarrow.parquet, "write_table", half)
    with pytest.raises(OSError, match="disk full"):
        write_rows(tmp_path / "x", Completion, [], ["task_id"])
    assert read_rows(tmp_path / "x", Completion) == [completion("a", 0)]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_values_of_one_column_are_counted(tmp_path):
    rows = [Completion(str(n), 0, "", stop, 1, "") for n, stop in enumerate(["eos", "length", "eos"])]
    write_rows(tmp_path / "x.parquet", Completion, rows, ["task_id"])
    assert count_values(tmp_path / "x.parquet", "stop") == {"eos": 2, "length": 1}
    with pytest.raises(UnreadableTable):
        count_values(tmp_path / "none.parquet", "stop")
