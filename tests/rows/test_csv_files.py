"""CSV files of users: every cell is a text as it is written."""

import gzip
from pathlib import Path

import pytest

from raysweep.errors import UsageError
from raysweep.rows import json_files
from raysweep.rows.csv_files import stream_csv_rows
from raysweep.rows.json_files import read_json_rows

CELLS = ["007", "1e5", "True", "NA", "", " x ", 'a "b", c', "one\r\ntwo\n\nthree", "1.50"]


def file(tmp_path: Path, content: str | bytes, name: str = "rows.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_cells_stay_as_they_are_written_and_rows_have_the_line_in_which_they_begin(tmp_path, start, end):
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in CELLS]
    text = f"{start}n,text{end}" + "".join(f"{n},{cell}{end}" for n, cell in enumerate(quoted)) + f"{end}9,last{end}"
    for content, name in ((text, "rows.csv"), (gzip.compress(text.encode()), "rows.csv.gz")):
        rows = list(stream_csv_rows(path := file(tmp_path, content, name)))
        assert [row.fields["text"] for row in rows] == [*CELLS, "last"]
        assert rows[0].fields == {"n": "0", "text": "007"}
        assert [row.place for row in rows[-3:]] == [f"{path}:{line}" for line in (9, 13, 15)]
    (row,) = stream_csv_rows(file(tmp_path, ",text\n0,x\n"))
    assert row.fields == {"": "0", "text": "x"}, "one column may lack a name, as the index that pandas writes"


@pytest.mark.parametrize(
    ("content", "message", "mended"),
    [
        ("", "has no rows; it needs a line with the names of the columns, and rows below", "a,b\n1,2\n"),
        ("a,b\n", "has no rows", "a,b\n1,2\n"),
        ("a,b\n1,2\n1,2,3\n", r"csv:3: the row has 3 cells for 2 columns; put quotes", 'a,b\n1,2\n1,"2,3"\n'),
        ("a,b,a\n1,2,3\n", "csv:1: the column 'a' is there twice; give each a name", "a,b,c\n1,2,3\n"),
        ("a;b\n1;2\n", "csv:1: commas separate columns here, not semicolons; save the file with c", "a,b\n1,2\n"),
        ("a,,\n1,2,\n", "csv:1: the column without a name is there twice", "a,b,\n1,2,\n"),
        ('a,b\n1,"2\n', r"csv:2: this can't be read as CSV \(unexpected end of data\); correct", 'a,b\n1,"2"\n'),
        (
            'a,b\n1,"say \\"x\\""\n',
            "csv:2: .*; correct the quotes: one within a cell is written twice",
            'a,b\n1,"say ""x"""\n',
        ),
        ("a,b\n1,é\n".encode("latin-1"), "not UTF-8 .*; save the file as CSV in UTF-8", "a,b\n1,é\n"),
    ],
)
def test_what_is_no_table_of_texts_is_one_clear_error_with_a_way_that_works(tmp_path, content, message, mended):
    with pytest.raises(UsageError, match=message):
        list(stream_csv_rows(file(tmp_path, content)))
    assert [*stream_csv_rows(file(tmp_path, mended))][-1].fields["a"] == "1"


def test_a_line_has_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "MOST_BYTES", 40)
    with pytest.raises(UsageError, match=r"rows.csv:2: the line has more than < 1 MiB unzipped"):
        list(stream_csv_rows(file(tmp_path, gzip.compress(b"a,b\n1," + 50 * b"2"))))


def test_json_that_is_csv_names_the_way(tmp_path):
    with pytest.raises(UsageError, match=r"rows.csv: this is CSV, .* \{name: csv, path: .*rows.csv\}; save other"):
        read_json_rows(file(tmp_path, "a,b\n1,2\n"))
