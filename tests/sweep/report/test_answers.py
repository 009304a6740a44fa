"""What models answered, as a report reads it from the store."""

from __future__ import annotations

import pytest

from raysweep.config.loading import config_from
from raysweep.metrics.base import CellLabels
from raysweep.sweep.report.answers import SweepAnswers
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.sweep.few_problems import FEW_PROBLEMS

pytestmark = pytest.mark.slow


def test_the_answers_to_one_task_are_those_among_all(tmp_path):
    evaluation = {"problems": [FEW_PROBLEMS], "perturbations": ["C1"], "limit": 3}
    models = [{"name": "reference", "generator": "reference"}]
    value = {"name": "s", "allow_code_execution": True, "models": models, "evaluation": evaluation}
    answers = SweepAnswers(run_sweep(config_from(value, "test"), RunOptions(str(tmp_path), "local")).folder)
    cell = CellLabels("reference", "none", "base", 42)
    found = answers.of(cell, ("minicode", "C1"))
    assert len(found) == 3 and all(answer.passed for answer in found)
    for answer in found:
        assert answers.of_task(cell, ("minicode", "C1"), answer.task_id) == [answer]
    assert answers.of_task(cell, ("minicode", "C1"), "no/1") == []
    assert answers.of_task(cell, ("minicode", "C3"), found[0].task_id) == ()
