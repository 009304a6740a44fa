"""Progress files, and what is shown of them."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from raysweep.progress import DONE, FAILED, RUNNING, Activity, ProgressFile, read_activities
from raysweep.watching import Watcher, duration, overview


def test_an_activity_is_read_back_with_its_stage_and_its_end(tmp_path):
    with ProgressFile(tmp_path, "cell").running("training") as progress:
        progress.update("training", 3, 10, "loss 0.5", force=True)
        assert read_activities(tmp_path)["cell"].done == 3
        assert read_activities(tmp_path)["cell"].state == RUNNING
    assert read_activities(tmp_path)["cell"].state == DONE


def test_an_error_is_kept_and_passed_on(tmp_path):
    with pytest.raises(ValueError, match="broken"), ProgressFile(tmp_path, "cell").running("training"):
        raise ValueError("broken")
    found = read_activities(tmp_path)["cell"]
    assert (found.state, found.error) == (FAILED, "ValueError: broken")


def test_files_that_are_no_activity_are_passed_over(tmp_path):
    (tmp_path / "half.json").write_text('{"id": "x"')
    (tmp_path / "other.json").write_text('{"what": 1}')
    assert read_activities(tmp_path) == {}


def test_the_overview_counts_and_estimates_what_is_left():
    activities = {"a": Activity("a", DONE), "b": Activity("b", RUNNING, "training", 5, 10), "c": Activity("c", FAILED)}
    found = overview(activities, ["a", "b", "c", "d"], started=time.time() - 60)
    assert (found.done, found.failed, found.total) == (1, 1, 4)
    assert found.fraction == pytest.approx((1 + 0.4 + 1) / 4)
    assert found.eta == pytest.approx(60 * (1 - found.fraction) / found.fraction, rel=0.01)


def test_durations_read_well():
    assert [duration(s) for s in (42, 185, 7800)] == ["42 s", "3 min 05 s", "2 h 10 min"]


def test_a_log_gets_plain_lines_and_quiet_gets_none(tmp_path):
    class Folder:
        progress = tmp_path

    for quiet, expected in ((False, "a: done"), (True, "")):
        out = io.StringIO()
        with Watcher(Console(file=out), quiet)(Folder(), None, ["a"]), ProgressFile(tmp_path, "a").running("making"):
            time.sleep(0.1)
        assert expected in out.getvalue() and ("\x1b" not in out.getvalue()) and bool(out.getvalue()) != quiet
