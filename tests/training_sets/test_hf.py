"""Training rows from data sets that the package `datasets` reads."""

import json

import pyarrow.parquet
import pytest

from raysweep.errors import UsageError
from raysweep.records import SourceRow
from raysweep.training_sets.hf import HubRows
from raysweep.training_sets.jsonl import JsonlSource

NAMED = {"instruction_column": "q", "output_column": "r"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hf"))


def source(tmp_path, rows, **args):
    folder = tmp_path / "set"
    folder.mkdir(exist_ok=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return HubRows(str(folder), **args)


def test_rows_have_instruction_output_input_the_fences_language_or_their_own_and_a_task(tmp_path):
    rows = [
        {"instruction": "Add.", "output": "```python\n1\n```", "input": "1, 2", "task_id": 11, "language": None},
        {"instruction": "Say hello.", "output": "Hello.", "input": None, "task_id": None, "language": "Java"},
    ]
    made = source(tmp_path, rows)  # in a folder called set, whose tasks bare numbers are
    made.check()
    assert made.size == 2
    assert list(made.rows()) == [
        SourceRow("0000000", "Add.", "```python\n1\n```", "1, 2", "python", task_id="set/11"),
        SourceRow("0000001", "Say hello.", "Hello.", language="Java"),
    ]


def test_columns_of_other_names_are_mapped_and_count_in_the_fingerprint(tmp_path):
    rows = [{"prompt": "Add.", "completion": "1", "more": "x"}]
    columns = {"instruction_column": "prompt", "output_column": "completion"}
    plain = source(tmp_path, rows, **columns)
    further = HubRows(str(tmp_path / "set"), **columns, input_column="more")
    assert [(row.instruction, row.output, row.input) for row in plain.rows()] == [("Add.", "1", "")]
    assert [row.input for row in further.rows()] == ["x"]
    assert plain.fingerprint() != further.fingerprint()
    assert str(tmp_path) not in json.dumps(plain.fingerprint())


@pytest.mark.parametrize(
    ("row", "args", "message"),
    [
        ({"instructions": "Add.", "output": "1"}, {}, "did you mean 'instructions'.*`instruction_column`"),
        ({"instruction": "Add.", "output": "1"}, {"input_column": "inptu"}, "no column 'inptu'.*`input_column`"),
        ({"instruction": " ", "output": "1"}, {}, "row 1: the instruction is empty"),
        (
            {"instruction": "Add.", "reply": " "},
            {"output_column": "reply"},
            "row 1: the response in `reply` is empty, the first",
        ),
        ({"q": "Add.", "r": None, "chosen": "1"}, NAMED, "row 1: `r` must be a string, not null; give it a text"),
        ({"q": "Add.", "chosen": "1"}, NAMED, "no column 'r'.*`output_column`"),
    ],
)
def test_rows_that_can_not_be_used_are_reported(tmp_path, row, args, message):
    with pytest.raises(UsageError, match=message):
        source(tmp_path, [row], **args).check()


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ({"instruction": "Which day?", "output": "2024-01-02"}, "`output` must be a string"),
        (
            {"messages": [{"role": "user", "content": "2023-12-31"}, {"role": "assistant", "content": "2024-01-02"}]},
            "`messages` has '2023-12-31 00:00:00' as the text of a message",
        ),
    ],
)
def test_texts_that_are_taken_for_dates_are_refused_with_ways_that_work(tmp_path, row, place):
    made = source(tmp_path, [row])
    with pytest.raises(UsageError, match=f"{place}.* takes such texts for dates: read the file by `name: jsonl`, or"):
        made.check()
    (file,) = (tmp_path / "set").iterdir()
    (tmp_path / "other").mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "other" / "rows.parquet")
    for ways in (JsonlSource(str(file)), HubRows(str(tmp_path / "other"))):
        assert [one.output for one in ways.rows()] == ["2024-01-02"]


def test_rows_without_an_output_are_left_out_if_asked(tmp_path):
    rows = [{"instruction": "Add.", "output": output} for output in ("1", " ", "2")]
    without = source(tmp_path, rows, drop_empty=True)
    without.check()
    assert without.size == 2 and [row.row_id for row in without.rows()] == ["0000000", "0000002"]


def test_a_constructor_reads_nothing():
    HubRows("owner/no-such-set")
