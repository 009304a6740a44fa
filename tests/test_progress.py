"""Progress files, and what is shown of them."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from raysweep.progress import DONE, FAILED, RUNNING, STOPPED, Activity, ProgressFile, read_activities
from raysweep.storage.files import Files
from raysweep.terminal import console, count, duration
from raysweep.watching import Watcher, _line, _picture, overview


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


def test_files_that_are_no_activity_are_passed_over(tmp_path):
    (tmp_path / "half.json").write_text('{"id": "x"')
    (tmp_path / "other.json").write_text('{"what": 1}')
    assert read_activities(Files(str(tmp_path))) == {}


def test_the_overview_counts_and_estimates_what_is_left():
    activities = {"a": Activity("a", DONE), "b": Activity("b", RUNNING, "training", 5, 10), "c": Activity("c", FAILED)}
    found = overview(activities, ["a", "b", "c", "d"], started=time.time() - 60)
    assert (found.done, found.failed, found.total) == (1, 1, 4)
    assert found.fraction == pytest.approx((1 + 0.4 + 1) / 4)
    assert found.eta == pytest.approx(60 * (1 - found.fraction) / found.fraction, rel=0.01)


def test_durations_read_well():
    assert [duration(s) for s in (42, 185, 7800)] == ["42 s", "3 min 05 s", "2 h 10 min"]


def test_counts_know_singular_and_plural():
    assert [count(n, "cell") for n in (0, 1, 2, 1200)] == ["0 cells", "1 cell", "2 cells", "1,200 cells"]


def test_a_line_tells_what_is_left_only_while_something_runs():
    half, nearly = (
        [Activity("a", DONE), Activity("b", RUNNING, "training", 5, 10), Activity("c", FAILED, error="why")],
        [Activity("a", DONE), Activity("b", RUNNING, "executing", 999_999, 1_000_000)],
    )
    lines = {}
    for activities in (half, nearly):
        counts = overview({a.id: a for a in activities}, [a.id for a in activities], started=time.time() - 60)
        lines[len(activities)] = [_line(activity, counts) for activity in activities]
    done, running, failed = lines[3]
    assert done.endswith("a: done") and failed.endswith("c: FAILED: why") and "left" in running
    assert not [line for line in lines[2] if "left" in line]


def test_an_error_with_square_brackets_ends_neither_lines_nor_the_live_table(tmp_path):
    class Folder:
        progress = Files(str(tmp_path))

    out = io.StringIO()
    with Watcher(Console(file=out))(Folder(), ["a[/b]"]):
        with pytest.raises(ValueError), ProgressFile(Files(str(tmp_path)), "a").running("making"):
            raise ValueError("[/model] of [red]")
        (tmp_path / "a.json").write_text((tmp_path / "a.json").read_text().replace('"a"', '"a[/b]"'))
    assert "a[/b]: FAILED: ValueError: [/model] of [red]" in out.getvalue()
    activities = {"x": Activity("x", FAILED, error="[/model]"), "y": Activity("y", RUNNING, "[/a]", 1, 2, "[/b]")}
    picture = Console(file=io.StringIO(), force_terminal=True, width=80)
    picture.print(_picture(activities, ["x", "y"], time.time()))
    assert "[/model]" in picture.file.getvalue() and "[/b]" in picture.file.getvalue()


def test_consoles_print_what_they_are_given(capsys):
    console().print("st[/x]y :warning: [red]1[/red]")
    assert capsys.readouterr().out == "st[/x]y :warning: [red]1[/red]\n"


def test_a_log_gets_plain_lines_and_quiet_gets_none(tmp_path):
    class Folder:
        progress = Files(str(tmp_path))

    for quiet, expected in ((False, "a: done"), (True, "")):
        out = io.StringIO()
        activity = ProgressFile(Files(str(tmp_path)), "a")
        with Watcher(Console(file=out), quiet)(Folder(), ["a"]), activity.running("making"):
            time.sleep(0.1)
        assert expected in out.getvalue() and ("\x1b" not in out.getvalue()) and bool(out.getvalue()) != quiet
