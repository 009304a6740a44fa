"""What models answered, as a report reads it from the store."""

from __future__ import annotations

import pytest

from raysweep.metrics.base import CellLabels
from raysweep.sweep.folder import open_folder
from raysweep.sweep.report.answers import SweepAnswers

pytestmark = pytest.mark.slow


def test_the_answers_to_one_task_are_those_among_all(finished):
    answers, cell = SweepAnswers(open_folder("s", str(finished))), CellLabels("reference", "none", "base", 42)
    found = answers.of(cell, ("minicode", "C1"))
    assert len(found) == 3 and all(answer.passed for answer in found)
    for answer in found:
        assert answers.of_task(cell, ("minicode", "C1"), answer.task_id) == [answer]
    assert answers.of_task(cell, ("minicode", "C1"), "no/1") == []
    assert answers.of_task(cell, ("minicode", "C3"), found[0].task_id) == ()
