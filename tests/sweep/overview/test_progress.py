"""How far a running sweep is."""

from __future__ import annotations

from raysweep.engine.progress import DONE, FAILED, RUNNING, Activity
from raysweep.sweep.overview.progress import Silence, SweepProgress, progress_of, seconds_left, with_done
from raysweep.sweep.overview.status import CellStatus


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
    progress = progress_of(activities, wanted, 0.0, cached_cells=3)
    assert (progress.models, progress.inputs, progress.failed) == ((4, 7), (1, 1), 1)


def test_the_words_tell_what_is_done_and_the_time_left_once_it_is_known():
    words = {left: SweepProgress((1, 4), (1, 1), 0, left).words for left in (75.0, 0.4, None)}
    assert words[75.0] == "1 of 4 models and 1 of 1 inputs done, about 1 min 15 s left"
    assert words[0.4] == words[None] == "1 of 4 models and 1 of 1 inputs done"
    assert SweepProgress((0, 0), (1, 1), 0, None).words == "1 of 1 inputs done"


MODELS = [f"m.full.C{number}.s1" for number in range(4)]


def test_the_time_left_is_that_of_the_models_left_if_they_take_as_long_as_those_that_have_ended():
    """A set, and what an earlier run has done, tell no pace."""
    wanted = ["training-set-C1-0123abcd", *MODELS, "m.base"]
    made = Activity(wanted[0], DONE, started=100.0, updated=101.0)
    running = Activity(MODELS[1], RUNNING, "training", started=130.0)
    activities = {one.id: one for one in (made, Activity("m.base", DONE), running)}
    assert seconds_left(activities, wanted, 160.0) is None
    activities[MODELS[0]] = Activity(MODELS[0], DONE, started=100.0, updated=160.0)
    assert seconds_left(activities, wanted, 160.0) == 2 * 60 + 30
    activities[MODELS[2]] = Activity(MODELS[2], RUNNING, "training", started=140.0)
    assert seconds_left(activities, wanted, 160.0) == (60 + 30 + 40) / 2
    assert seconds_left(activities, wanted, 100.5) is None
    assert seconds_left(activities, wanted[:1], 160.0) == 0.0
    assert progress_of(activities, wanted, 160.0).share == 3 / 6


def test_a_cell_whose_results_the_store_has_is_done_and_keeps_when_it_was_started():
    cell = CellStatus("m.base", DONE, "", "", 1, 1, "", "")
    assert with_done({"m.base": Activity("m.base", RUNNING, started=5.0)}, [cell])["m.base"].started == 5.0
    assert with_done({}, [cell]) == {"m.base": Activity("m.base", DONE)}


def test_silence_is_counted_by_this_machines_clock():
    silence, working = Silence(), Activity("a", RUNNING, updated=7.0)
    assert silence.look({"a": working, "b": Activity("b", RUNNING, waits="a GPU")}, 1000.0) == {"a": 0.0}
    assert silence.look({"a": working}, 1040.0) == {"a": 40.0}
    assert silence.look({"a": Activity("a", RUNNING, updated=3.0)}, 1050.0) == {"a": 0.0}
