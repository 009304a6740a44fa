"""Training rows from a CSV file."""

import csv
import json

import pytest

from raysweep.errors import UsageError
from raysweep.training_sets.csv import CsvSource
from raysweep.training_sets.hf import HubRows
from raysweep.training_sets.jsonl import JsonlSource

TEXT = """\
instruction,output,input,language,worse,task_id
"Add a, b.","```python
a + b
```",007,,,
Say NA.,NA,,sql,1e5,12
"""


def source(tmp_path, text, **args):
    path = tmp_path / "rows.csv"
    path.write_text(text, newline="")
    return CsvSource(str(path), **args)


def test_columns_are_the_fields_of_a_row_and_an_empty_cell_is_no_rejected_response(tmp_path):
    rows = list(source(tmp_path, TEXT, rejected_field="worse").rows())
    assert [(row.instruction, row.output, row.input, row.language) for row in rows] == [
        ("Add a, b.", "```python\na + b\n```", "007", "python"),
        ("Say NA.", "NA", "", "sql"),
    ]
    assert [(row.row_id, row.task_id, row.rejected) for row in rows] == [
        ("0000000", "", None),
        ("0000001", "12", "1e5"),
    ]
    assert [row.output for row in source(tmp_path, "prompt,completion\n1,2\n").rows()] == ["2"]


def test_a_file_whose_first_line_is_a_row_is_told_what_that_line_must_be(tmp_path):
    with pytest.raises(UsageError, match=r"rows.csv:1: line 1 must name the columns, as in `instruction,output`.*'Add"):
        source(tmp_path, "Add a and b.,a + b\nSay NA.,NA\n").check()


def test_a_misspelt_column_is_told_as_one_that_rows_lack(tmp_path):
    with pytest.raises(UsageError, match=r"rows.csv:2: the row has no `instruction`.*it has instuction, output; write"):
        source(tmp_path, "instuction,output\nAdd a and b.,a + b\n").check()


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_the_package_datasets_reads_the_same_texts_of_it_and_guesses_none(tmp_path, line_end, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hf"))
    text = TEXT.replace(",12", ",T/12") + "3,True,None,, ,\n1.0,null,NA,nan,,\n"
    own = source(tmp_path, text.replace("\n", line_end), rejected_field="worse")
    files = tmp_path / "set"
    files.mkdir()
    (files / "train.csv").write_bytes((tmp_path / "rows.csv").read_bytes())
    for path in (tmp_path / "rows.csv", files):
        theirs = HubRows(str(path), rejected_field="worse")
        theirs.check()
        assert list(theirs.rows()) == list(own.rows())
    assert [row.input for row in own.rows()] == ["007", "", "None", "NA"]


@pytest.mark.parametrize(
    ("rows", "message", "mended"),
    [
        ("1,2,3", "the row has 3 cells for 2 columns; put quotes around texts with commas", '1,"2,3"'),
        ("1", "the row has 1 cell for 2 columns; put quotes around texts with commas or line ends", "1,2"),
    ],
)
def test_both_sources_name_the_line_of_a_row_that_lacks_cells_or_has_more(tmp_path, rows, message, mended, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hf"))
    path = tmp_path / "rows.csv"
    for kind in (CsvSource, HubRows):
        path.write_text(f"instruction,output\n0,0\n{rows}\n")
        with pytest.raises(UsageError, match=rf"rows.csv:3: {message}"):
            kind(str(path)).check()
        path.write_text(f"instruction,output\n0,0\n{mended}\n")
        assert len(list(kind(str(path)).rows())) == 2


@pytest.mark.parametrize(
    ("separator", "name", "ending", "options"),
    [("\t", "tabs", "tsv", ""), (";", "semicolons", "csv", ' sep: ";"'), ("|", r"characters '\|'", "csv", ' sep: "|"')],
)
def test_files_with_other_separators_are_read_and_checked_in_the_same_way(
    tmp_path, separator, name, ending, options, monkeypatch
):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hf"))
    files = tmp_path / "set"
    files.mkdir()
    card = f"---\nconfigs:\n- config_name: default\n  data_files: train.{ending}\n {options}\n---\n"
    (files / "README.md").write_text(card)
    for row, columns in (("1", 1), (f"1,2{separator}3{separator}4", 3)):
        (files / f"train.{ending}").write_text(f"instruction{separator}output\n{row}\n")
        with pytest.raises(
            UsageError, match=rf"train.{ending}:2: the row has {columns} cells? for 2 .* with {name} or"
        ):
            HubRows(str(files)).check()
    (files / f"train.{ending}").write_text(f'instruction{separator}output\n1,2{separator}"3{separator}4"\n')
    assert [(row.instruction, row.output) for row in HubRows(str(files)).rows()] == [("1,2", f"3{separator}4")]
    (files / "README.md").write_text(card.replace(f" {options}\n", f" {options}\n  quoting: 3\n"))
    (files / f"train.{ending}").write_text(f'instruction{separator}output\n"a" b{separator}"3\n')
    assert [(row.instruction, row.output) for row in HubRows(str(files)).rows()] == [('"a" b', '"3')]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"instruction": "a", "output": "b", "history": [["c", "d"]]},
    ],
)
def test_a_list_is_told_to_need_jsonl_where_it_is_read(tmp_path, row):
    cells = [json.dumps(value) if isinstance(value, list) else value for value in row.values()]
    with (tmp_path / "lists.csv").open("w", newline="") as file:
        csv.writer(file).writerows([row, cells])
    with pytest.raises(UsageError, match=r"lists.csv:2: .*JSONL"):
        CsvSource(str(tmp_path / "lists.csv")).check()
    (tmp_path / "lists.jsonl").write_text(json.dumps(row) + "\n")
    ((instruction, output),) = [
        (one.instruction, one.output) for one in JsonlSource(str(tmp_path / "lists.jsonl")).rows()
    ]
    assert (instruction, output) == ("a", "b")


def test_check_names_file_line_and_what_is_wrong(tmp_path):
    with pytest.raises(UsageError, match=r"rows.csv:2: the response in `output` is empty, the first of 1 such"):
        source(tmp_path, "instruction,output\na,\n").check()


def test_a_field_of_rejected_responses_that_is_no_column_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"rejected response in `wors` \(did you mean 'worse'\?\)"):
        source(tmp_path, TEXT, rejected_field="wors").check()
