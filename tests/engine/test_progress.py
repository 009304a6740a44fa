"""Progress files."""

from __future__ import annotations

import time

import pytest

from raysweep.engine import progress as module
from raysweep.engine.progress import DIED, DONE, FAILED, RUNNING, STOPPED, ProgressFile, read_activities, read_activity
from raysweep.storage.files import Files


def test_an_activity_is_read_back_with_its_stage_and_its_end(tmp_path):
    with ProgressFile(Files(str(tmp_path)), "cell").running("training") as progress:
        progress.update("training", 3, 10, "loss 0.5", force=True)
        assert read_activities(Files(str(tmp_path)))["cell"].done == 3
        assert read_activities(Files(str(tmp_path)))["cell"].state == RUNNING
    assert read_activities(Files(str(tmp_path)))["cell"].state == DONE


def test_an_error_is_kept_and_passed_on(tmp_path):
    with pytest.raises(ValueError, match="broken"), ProgressFile(Files(str(tmp_path)), "cell").running("training"):
        raise ValueError("broken")
    found = read_activities(Files(str(tmp_path)))["cell"]
    assert (found.state, found.error) == (FAILED, "ValueError: broken")


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_who_stops_a_run_does_not_fail_it(tmp_path, end):
    with pytest.raises(end), ProgressFile(Files(str(tmp_path)), "cell").running("starting") as progress:
        progress.update("training", 3, 10)
        raise end
    found = read_activities(Files(str(tmp_path)))["cell"]
    assert (found.state, found.error, found.stage, found.done, found.total) == (STOPPED, "", "training", 3, 10)


def test_a_line_for_the_user_outlives_the_next_stage_of_another_process(tmp_path):
    cell = ProgressFile(Files(str(tmp_path)), "cell")
    cell.update("editing")
    ProgressFile(Files(str(tmp_path)), "cell").note("the process that held llama died")
    cell.update("generating")
    assert any(line.endswith("! the process that held llama died") for line in cell.activity.tail)


def test_an_activity_is_marked_as_that_of_a_dead_process_until_another_one_goes_on_with_it(tmp_path):
    files = Files(str(tmp_path))
    first = ProgressFile(files, "cell")
    first.update("training", 3, 10, force=True)
    seen = read_activities(files)["cell"]
    assert seen.owner.is_me and not seen.death
    ProgressFile(files, "cell").exchange(DIED, seen.process)
    assert read_activities(files)["cell"].death == "its process died after: training 3/10"
    ProgressFile(files, "cell").begin_attempt()
    assert not read_activities(files)["cell"].has_died


def test_files_that_are_no_activity_are_passed_over(tmp_path):
    (tmp_path / "half.json").write_text('{"id": "x"')
    (tmp_path / "other.json").write_text('{"what": 1}')
    assert read_activities(Files(str(tmp_path))) == {}


def test_a_value_beside_an_activity_outlives_its_process_and_is_no_activity(tmp_path):
    files = Files(str(tmp_path))
    assert ProgressFile(files, "cell").kept("nodes") == ""
    assert ProgressFile(files, "cell").exchange("nodes", "a b") == ""
    assert ProgressFile(files, "cell").exchange("nodes", "c") == "a b"
    assert ProgressFile(files, "cell").kept("nodes") == "c" and read_activities(files) == {}


def test_a_stage_tells_its_time_left_at_its_pace_and_a_resumed_one_at_that_since_it_went_on(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(module.time, "time", lambda: clock[0])
    file = ProgressFile(Files(str(tmp_path)), "a")
    for seconds, done, left in ((0, 0, None), (30, 40, None), (0.5, 41, None), (1.5, 44, 28.0), (8, 60, 20.0)):
        clock[0] += seconds
        file.update("training", done, 100, force=True)
        assert read_activity(Files(str(tmp_path)), "a").seconds_left == left
    file.report_wait("a GPU")
    assert file.activity.seconds_left is None


def test_a_wait_says_since_when(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(module.time, "time", lambda: clock[0])
    file = ProgressFile(Files(str(tmp_path)), "a")
    for _ in range(2):
        file.report_wait("2 training workers with 1 GPU on A100 each")
        clock[0] += 60
    since = time.strftime("%H:%M:%S", time.localtime(1000.0))
    assert file.activity.wait == f"2 training workers with 1 GPU on A100 each, since {since}"
