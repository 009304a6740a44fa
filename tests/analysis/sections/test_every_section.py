"""What holds for every section of the report, whatever it shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.analysis.exhibits.answers import ShownAnswer
from raysweep.analysis.exhibits.base import PROGRAM_REPAIR, Evidence, SideBySideTask
from raysweep.analysis.exhibits.catalogue import draw, read_exhibits
from raysweep.analysis.exhibits.edit_pages import PairPage, ShownEdit
from raysweep.analysis.page.report import render_report
from raysweep.analysis.sections.base import ON_DEMAND, SECTIONS, Report, Section, show
from raysweep.analysis.tables.choices import ReportedCandidate, ReportedChoice
from raysweep.analysis.tables.frame import Failure, ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.table import FORMATS, Column, Table, written
from raysweep.analysis.tables.trainings import ReportedTraining
from raysweep.errors import RaysweepError
from raysweep.records import Spec
from raysweep.testing import elsewhere, no_global_generator
from tests.analysis.examples import ORDER, pair, report, scores
from tests.analysis.linted import STRATA, linted_cells
from tests.analysis.tables.test_difference_tables import DIFFERENCES

pytestmark = pytest.mark.slow

EMPTY = Report("empty", "A sweep without results", "", (), Order(), ())


@pytest.fixture(scope="module")
def full() -> Report:
    """Records of which every section shows some."""
    answer = ShownAnswer("full", True, "judged", "return x + 1")
    edited = ShownEdit("creme", "", ("restored 25.0 %",), (), (answer,))
    choice = ReportedChoice("llama", "lora", "C1", 42, (ReportedCandidate("lora.lr1e-4", 0.25, 8, 8, is_chosen=True),))
    drawn = draw(list(read_exhibits().values()), Evidence(ScoreFrame.of(scores(), ORDER), linted=linted_cells()))
    drawn = replace(
        drawn,
        side_by_side=(SideBySideTask("Completions", "llama", "task/01", "def f(x):", (answer, answer)),),
        pairs=(PairPage("llama", "pair1", "task/01", "def f(x):", "def f(y):", (answer, answer), (edited,)),),
        groups={**drawn.groups, PROGRAM_REPAIR: [Table("Patches", "", ("model",), (Column("plausible@1"),), ())]},
    )
    failures = [Failure("llama", "full", "C2", 42, "no space is left")]
    more = {"choices": [choice], "differences": DIFFERENCES, "linted": linted_cells(), "strata": STRATA}
    trainings = [ReportedTraining("llama", "C1", "full", 42, 64, 0, {}, 4, ((1, 2.5), (4, 1.5)), 1.5)]
    return report([pair()], failures, drawn=drawn, trainings=trainings, **more)


@pytest.mark.parametrize("name", SECTIONS.names())
def test_a_section_shows_equal_content_of_what_it_names_on_the_page_and_in_files(name, full):
    section = SECTIONS.create(Spec(name))
    with no_global_generator():
        content = section.draw(full)
    assert content is not None
    others = {field: getattr(EMPTY, field) for field in ON_DEMAND if field not in section.reads}
    assert repr(section.draw(replace(full, **others))) == repr(content), "it reads what it doesn't name"
    assert f'<section id="{name}"' in render_report(full, [(section, content)])
    assert section.in_files or not (content.all_tables or content.figures)
    assert all(written(table, format) for table in content.all_tables for format in FORMATS)
    section.draw(EMPTY)  # all cells may have failed


def test_another_process_shows_the_same(full):
    assert shown(full) == elsewhere(shown, full)


def shown(records: Report) -> dict[str, str]:
    """Return what each section shows, as text."""
    return {name: repr(SECTIONS.create(Spec(name)).draw(records)) for name in SECTIONS.names()}


def test_an_error_in_a_section_names_it(full):
    class Broken(Section):
        """Asks for what there is not."""

        name = "broken"

        def draw(self, report):
            return {}["metrik"]

    with pytest.raises(RaysweepError, match=r"section 'broken' \(.*Broken\) ended with KeyError: 'metrik'"):
        show(full, [Broken()])
