"""How far a running sweep is."""

from __future__ import annotations

import pytest

from raysweep.engine.progress import DONE, FAILED, RUNNING, Activity
from raysweep.sweep.overview.progress import progress_of

MODELS = [
    Activity("m.base", DONE),
    Activity("m.full.C1.s1", RUNNING, "training", 5, 10),
    Activity("m.full.C2.s1", FAILED),
]
"""With an input that is done and a model that has not begun, half of a sweep."""


def test_the_progress_counts_models_and_inputs_apart():
    activities = {activity.id: activity for activity in [*MODELS, Activity("training-set-C1-0123abcd", DONE)]}
    progress = progress_of(activities, [*activities, "m.full.C3.s1"], 75.0)
    assert (progress.models, progress.inputs, progress.failed) == ((1, 4), (1, 1), 1)
    assert progress.share == pytest.approx((0.2 + 0.4 + 1 + 0.05) / 3.25)
    assert progress.words == "1 of 4 models and 1 of 1 inputs done, about 1 min 15 s left"
    assert progress_of(activities, ["training-set-C1-0123abcd"]).words == "1 of 1 inputs done"


def test_models_that_were_done_before_count_as_done():
    activities = {activity.id: activity for activity in MODELS}
    progress = progress_of(activities, list(activities), cached_cells=3)
    assert progress.models == (4, 6)
    assert progress.share == pytest.approx((0.2 + 0.4 + 1 + 3) / (2.2 + 3))
