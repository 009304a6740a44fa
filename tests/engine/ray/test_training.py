from __future__ import annotations

import pytest

from raysweep.engine.base import TrainingRun
from raysweep.engine.ray import training
from raysweep.engine.ray.cluster.cluster import Placement
from raysweep.errors import HopelessError
from raysweep.programs import DEFAULT_SANDBOX
from raysweep.records import TrainingStep
from raysweep.storage.files import Files
from raysweep.trainers import reports


def passed_on(total: int, validated: frozenset[int] = frozenset()) -> list[int]:
    """The steps that Ray hears of, of those that the training loop reports."""
    services = training.MeasuredServices.__new__(training.MeasuredServices)
    every = max(1, total // reports.REPORTS)
    reported = [step for step in range(1, total + 1) if step in (1, total) or step % every == 0 or step in validated]
    steps = [TrainingStep(s, total, 1.0, 0.0, 0, validation_loss=0.5 if s in validated else None) for s in reported]
    return [step.step for step in steps if services.is_due(step)]


@pytest.mark.parametrize("total", [40, 419, 999, 1979, 3760, 9400, 11_111])
def test_ray_hears_of_a_training_about_twenty_times_and_of_its_end(total):
    steps = passed_on(total)
    assert 16 <= len(steps) <= training.TUNE_REPORTS + 1 and steps[-1] == total
    gaps = [after - before for before, after in zip([0, *steps], steps, strict=False)]
    assert max(gaps) <= total / training.TUNE_REPORTS * 1.3


def test_it_hears_of_all_steps_of_a_short_one_and_of_each_validation():
    assert passed_on(4) == [1, 2, 3, 4]
    assert {250, 500, 750, 1000} <= set(passed_on(1000, frozenset({250, 500, 750, 1000})))


def test_a_worker_with_other_packages_than_the_command_trains_nothing(tmp_path):
    run = TrainingRun(pytest.fail, Files(str(tmp_path)), 1, "m", str(tmp_path), DEFAULT_SANDBOX, {"peft": "0.0.1"})
    loop = training._worker_loop(run, None, Placement(1, 0, 0, in_trial=True), {}, in_tune=False, is_capped=False)
    with pytest.raises(HopelessError, match=r"has peft 0.0.1, but the process that trains .* has "):
        loop({})
