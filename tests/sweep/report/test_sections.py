"""Sections of the report: a new one is one file, and is on the page, a CSV file and `--only`; what each reads."""

from __future__ import annotations

import csv
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from raysweep.analysis.exhibits.catalogue import read_exhibits
from raysweep.analysis.sections.base import ON_DEMAND, SECTIONS, Report
from raysweep.errors import UsageError
from raysweep.sweep.folder import SweepFolder, open_folder
from raysweep.sweep.report.records import READERS
from raysweep.sweep.report.write import _own_code, export, report_code

pytestmark = pytest.mark.slow

NEW = '''
"""Shows how many completions there are."""

from raysweep.analysis.sections.base import SECTIONS, Content, Section
from raysweep.analysis.tables.table import Column, Row, Table, TableCell


@SECTIONS.register("sums")
class Sums(Section):
    """The number of completions of each model."""

    title = "Sums"
    reads = ("outcomes",)

    def draw(self, report):
        """See `Section.draw`."""
        rows = tuple(
            Row((pair.model,), (TableCell(str(pair.total), value=float(pair.total), state="value"),))
            for pair in report.outcomes
        )
        table = Table("Completions in all", "", ("model",), (Column("completions"),), rows)
        return Content("What `outcomes` add up to.", [table])
'''


@pytest.fixture
def folder(finished) -> SweepFolder:
    return open_folder("s", str(finished))


@pytest.fixture
def new_section(tmp_path, monkeypatch):
    """A file of a section beside raysweep's own."""
    import raysweep.analysis.sections as own

    SECTIONS.names()
    (tmp_path / "sums.py").write_text(NEW)
    monkeypatch.setattr(own, "__path__", [*own.__path__, str(tmp_path)])
    monkeypatch.setattr(SECTIONS, "_classes", dict(SECTIONS._classes))
    monkeypatch.setattr(SECTIONS, "_loaded", False)
    yield
    sys.modules.pop(f"{own.__name__}.sums", None)


def test_a_new_section_is_one_file_and_stands_on_the_page_in_a_csv_file_and_in_only(folder, tmp_path, new_section):
    page = Path(export(folder, "html", tmp_path / "out"))
    assert '<a href="#sums">Sums</a>' in page.read_text()
    assert "<h2>Sums</h2>" in page.read_text() and "What <code>outcomes</code> add up to." in page.read_text()
    written = (page.parent / "tables" / "completions-in-all.csv").read_text()
    assert [row["completions"] for row in csv.DictReader(written.splitlines())] == ["3.0", "3.0"]
    assert export(folder, "csv", None, only=["sums"]).endswith(written)


def test_a_new_section_gives_a_report_another_stamp(new_section):
    assert "sums" in str(report_code())


def test_another_text_or_name_of_a_file_gives_a_report_another_stamp(tmp_path):
    (tmp_path / "metrics" / "__pycache__").mkdir(parents=True)
    file = tmp_path / "metrics" / "passing.py"
    stamps = [_own_code(tmp_path)]
    for text in ("a", "b"):
        file.write_text(text)
        stamps.append(_own_code(tmp_path))
    (tmp_path / "metrics" / "__pycache__" / "passing.cpython-311.pyc").write_text("c")
    assert _own_code(tmp_path) == stamps[-1]
    stamps.append(_own_code(file.rename(tmp_path / "metrics" / "passed.py").parents[1]))
    assert len(set(map(str, stamps))) == 4


def test_the_code_of_numbers_and_of_the_page_counts():
    files = dict(report_code()[0])
    metric, comparison, kind = (
        "metrics/passing.py",
        "analysis/comparisons/pass_rates.py",
        "analysis/exhibits/trade_off.py",
    )
    others = {"stats/bootstrap.py", "analysis/exhibits/scores/04-rd.yaml", "analysis/page/templates/report.css"}
    assert {metric, comparison, kind, *others} <= files.keys()


@pytest.mark.parametrize(
    ("format", "only", "said"),
    [
        ("csv", "failures", "nothing to show in failures"),
        ("csv", "settings", "the section settings is on the report's page only"),
        ("csv", "fait-side-by-side", "fait-side-by-side: on the report's page only"),
        ("svg", "fait-side-by-side", "fait-side-by-side: on the report's page only"),
        ("svg", "sums", "sums has no figure in this sweep"),
    ],
)
def test_what_has_nothing_in_a_format_is_refused(folder, tmp_path, new_section, format, only, said):
    with pytest.raises(UsageError, match=said):
        export(folder, format, tmp_path / "out", only=[only])


def test_each_record_on_demand_has_a_function_that_reads_it():
    assert {*READERS, "drawn"} == set(ON_DEMAND) <= {field.name for field in fields(Report)}


def test_ids_of_exhibits_are_no_names_of_sections(folder, tmp_path):
    assert not set(read_exhibits()) & set(SECTIONS.names())
    (tmp_path / "mine.yaml").write_text("{id: evidence, title: Mine, kind: heat-map, quantity: pass@1, digits: 0}")
    with pytest.raises(UsageError, match="the id 'evidence' is the name of a section"):
        export(folder, "svg", None, exhibits=[tmp_path])
