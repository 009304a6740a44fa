import csv
import io
import math
import re

import pytest

from raysweep.analysis.tables.frame import Failure
from raysweep.analysis.tables.table import Column, Row, Table, TableCell, to_csv, to_markdown
from tests.analysis.examples import ORDER, score_tables, scores

TABLES = score_tables(scores(), ORDER, [Failure("llama", "full", "C1", 42, "boom | bang\nmore")])


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_csv_gives_every_number_back_to_12_significant_digits(table: Table):
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert len(rows) == len(table.rows)
    for row, expected in zip(rows, table.rows, strict=True):
        assert tuple(row[name] for name in table.stub) == expected.labels
        for column, cell in zip(table.columns, expected.cells, strict=True):
            if cell.state == "value":
                assert row[column.full_name] == repr(float(f"{cell.value:.12g}"))
            else:
                assert row[column.full_name] == cell.text
            if not math.isnan(cell.low):
                bounds = row[f"{column.full_name} low"], row[f"{column.full_name} high"]
                assert bounds == (repr(float(f"{cell.low:.12g}")), repr(float(f"{cell.high:.12g}")))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_markdown_gives_every_cell_back_as_it_is_shown(table: Table):
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("| ")]
    fields = [[f.strip().replace("\\|", "|") for f in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert fields[0] == [*table.stub, *(column.full_name for column in table.columns)]
    for row, expected in zip(fields[2:], table.rows, strict=True):
        shown = [f"{cell.text} {cell.interval}".strip() for cell in expected.cells]
        if expected.spanning_cell:
            shown[1:] = [""] * (len(shown) - 1)
        assert row == [*expected.labels, *shown]


def test_a_row_that_failed_as_a_whole_says_so_once_in_markdown():
    summary = next(table for table in TABLES if table.title == "llama on minicode")
    assert to_markdown(summary).count("failed") == 1


def test_markdown_escapes_what_would_break_the_table():
    table = Table("t", "c", ("a|b",), (Column("x"),), (Row(("line\nbreak",), (TableCell("p|q"),)),))
    assert "| line break | p\\|q |" in to_markdown(table)
    assert "| a\\|b | x |" in to_markdown(table)


def test_footnotes_are_numbered_once_per_reason_in_both_forms():
    undefined = TableCell("–", note="clean pass@1 is 0", state="undefined")
    other = TableCell("–", note="no problems", state="undefined")
    table = Table(
        "t", "c", ("m",), (Column("x"), Column("y")), (Row(("a",), (undefined, other)), Row(("b",), (other, undefined)))
    )
    assert "| a | – [1] | – [2] |\n| b | – [2] | – [1] |" in to_markdown(table)
    assert "[1] clean pass@1 is 0" in to_markdown(table)
    assert to_csv(table).splitlines()[1] == "a,,,clean pass@1 is 0; no problems"


def test_a_table_s_name_is_fit_for_a_file():
    assert Table("RD over a, b/c (%)", "", (), (), ()).name == "rd-over-a-b-c"
    assert all(re.fullmatch(r"[\w@.-]+", table.name) for table in TABLES)
    assert len({table.name for table in TABLES}) == len(TABLES)


def numbered(*sizes: int) -> Table:
    cells = tuple(TableCell("0.5", value=0.5, state="value", n=n) for n in sizes)
    return Table("t", "c", ("m",), (Column("x"), Column("y")), (Row(("a",), cells),), {}, {"x": "some words"})


def test_the_number_of_problems_stands_once_where_it_is_the_same_for_all_numbers():
    assert "n = 1,240 problems. c Codes: some words (x)." in to_markdown(numbered(1240, 1240))
    assert "| a | 0.5 | 0.5 |" in to_markdown(numbered(1240, 1240))
    assert to_csv(numbered(1240, 1240)).splitlines() == ["m,x,y,n,notes", "a,0.5,0.5,1240,"]


def test_the_number_of_problems_stands_beside_each_number_where_it_differs():
    assert "| a | 0.5 (n = 3) | 0.5 (n = 4) |" in to_markdown(numbered(3, 4))
    assert to_csv(numbered(3, 4)).splitlines() == ["m,x,x n,y,y n,notes", "a,0.5,3,0.5,4,"]
