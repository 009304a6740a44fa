"""How far a running sweep is."""

from __future__ import annotations

from raysweep.engine.progress import DONE, FAILED, RUNNING, Activity
from raysweep.engine.time_left import TimeLeft
from raysweep.sweep.overview.progress import SweepProgress, progress_of


def test_the_progress_counts_models_and_inputs_apart_with_those_that_were_done_before():
    activities = {
        one.id: one
        for one in (
            Activity("m.base", DONE),
            Activity("m.full.C1.s1", RUNNING, "training", 5, 10),
            Activity("m.full.C2.s1", FAILED),
            Activity("training-set-C1-0123abcd", DONE),
        )
    }
    wanted = [*activities, "m.full.C3.s1"]
    progress = progress_of(activities, wanted, TimeLeft(wanted), cached_cells=3)
    assert (progress.models, progress.inputs, progress.failed) == ((4, 7), (1, 1), 1)


def test_the_words_tell_what_is_done_and_the_time_left_once_it_is_known():
    words = {left: SweepProgress((1, 4), (1, 1), 0, 0.5, left, {}).words for left in (75.0, 0.4, None)}
    assert words[75.0] == "1 of 4 models and 1 of 1 inputs done, about 1 min 15 s left"
    assert words[0.4] == words[None] == "1 of 4 models and 1 of 1 inputs done"
    assert SweepProgress((0, 0), (1, 1), 0, 1.0, None, {}).words == "1 of 1 inputs done"
