from __future__ import annotations

import pytest

from raysweep.analysis.sections.base import Report
from raysweep.analysis.sections.tables import ReasonsSection
from raysweep.analysis.tables.frame import ScoreFrame
from tests.analysis.examples import ORDER
from tests.analysis.tables.test_trainings import seeds_of


@pytest.mark.parametrize(("over_seeds", "recipes"), [(True, ["full"]), (False, ["full, seed 42", "full, seed 43"])])
def test_trainings_have_a_row_for_all_seeds_where_the_reports_numbers_are_means_over_seeds(
    over_seeds: bool, recipes: list[str]
):
    by_seed = ScoreFrame.of((), ORDER) if over_seeds else None
    report = Report("s", "s", "", (), ORDER, (), trainings=seeds_of({}, {}), by_seed=by_seed)
    (table,) = ReasonsSection().draw(report).tables
    assert [row.labels[-1] for row in table.rows] == ["scratch", *recipes]
