import csv
import io
import math
import re

import pytest

from raysweep.analysis.layout import Failure
from raysweep.analysis.table import Cell, Column, Row, Table, to_csv, to_markdown
from raysweep.analysis.tables import tables
from tests.analysis.examples import ORDER, scores

TABLES = tables(scores(), ORDER, [Failure("llama", "full", "C1", 42, "boom | bang\nmore")])


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_csv_gives_every_number_back_in_full(table: Table):
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert len(rows) == len(table.rows)
    for row, expected in zip(rows, table.rows, strict=True):
        assert tuple(row[name] for name in table.stub) == expected.labels
        for column, cell in zip(table.columns, expected.cells, strict=True):
            if cell.state == "value":
                assert float(row[column.full_name]) == cell.value
            else:
                assert row[column.full_name] == cell.text
            if not math.isnan(cell.low):
                bounds = row[f"{column.full_name} low"], row[f"{column.full_name} high"]
                assert tuple(map(float, bounds)) == (cell.low, cell.high)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_markdown_gives_every_cell_back_as_it_is_shown(table: Table):
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("| ")]
    fields = [[f.strip().replace("\\|", "|") for f in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert fields[0] == [*table.stub, *(column.full_name for column in table.columns)]
    for row, expected in zip(fields[2:], table.rows, strict=True):
        shown = [f"{cell.text} {cell.interval}".strip() for cell in expected.cells]
        if expected.whole:
            shown[1:] = [""] * (len(shown) - 1)
        assert row == [*expected.labels, *shown]


def test_a_row_that_failed_as_a_whole_says_so_once_in_markdown():
    summary = next(table for table in TABLES if table.title == "llama on minicode")
    assert to_markdown(summary).count("failed: boom") == 1


def test_markdown_escapes_what_would_break_the_table():
    table = Table("t", "c", ("a|b",), (Column("x"),), (Row(("line\nbreak",), (Cell("p|q"),)),))
    assert "| line break | p\\|q |" in to_markdown(table)
    assert "| a\\|b | x |" in to_markdown(table)


def test_footnotes_are_numbered_once_per_reason_in_both_forms():
    undefined = Cell("–", note="clean pass@1 is 0", state="undefined")
    other = Cell("–", note="no problems", state="undefined")
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
