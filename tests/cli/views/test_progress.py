"""The live display: what it draws on a terminal and prints in a log, and who feeds it."""

from __future__ import annotations

import dataclasses
import io
import re
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from raysweep.cli.views import progress as views
from raysweep.cli.views.progress import SAME_SECONDS, Display, PlainLog, _line, _picture, counting, watching
from raysweep.engine.progress import DONE, FAILED, RUNNING, Activity, ProgressFile
from raysweep.storage.files import Files
from raysweep.sweep.overview.progress import SweepProgress
from tests.paths import REPO


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, markup=False)


def log() -> Console:
    return Console(file=io.StringIO(), width=100, markup=False)


def shown(console: Console) -> str:
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", console.file.getvalue())


def test_there_is_one_live_display():
    users = [path.name for path in (REPO / "raysweep").rglob("*.py") if "rich.live" in path.read_text()]
    assert users == ["progress.py"]


def test_a_terminal_gets_pictures_and_notes_and_a_log_lines():
    for console, expected in ((terminal(), ["picture", "note"]), (log(), ["line", "note"])):
        with Display(console) as display:
            display.picture("picture")
            display.line("line")
            display.line("note", is_note=True)
        assert [word for word in ("picture", "line", "note") if word in shown(console)] == expected
    for console in (terminal(), log()):
        with Display(console, quiet=True) as display:
            display.picture("picture")
            display.line("note", is_note=True)
        assert shown(console) == ""


def test_an_error_of_any_length_is_a_line_of_300_characters_and_whole_in_the_log(caplog):
    error = "the storage is away; " * 100
    console = log()
    with caplog.at_level("DEBUG", "raysweep"), Display(console) as display:
        PlainLog(["m.base"], display).write({"m.base": Activity("m.base", FAILED, error=error)}, NOTHING)
    (line,) = shown(console).splitlines()
    assert len(line) == 300 and line.endswith(" ...")
    assert error in caplog.text
    table = "cell state\n" * 100
    with Display(console) as display:
        display.line(table)
    assert table in shown(console), "what isn't about an activity is no line"


def test_times_of_lines_are_those_of_this_machine_whatever_a_nodes_clock_says():
    console = log()
    with Display(console) as display:
        lines = PlainLog(["m.base"], display)
        lines.write({}, NOTHING)
        activity = Activity("m.base", RUNNING, tail=("2020-01-01 03:04:05 ! lost a worker",))
        lines.write({"m.base": activity}, NOTHING)
    assert "lost a worker" in shown(console) and "03:04:05" not in shown(console)


def test_a_note_between_equal_lines_of_one_second_is_told_once():
    console, second = log(), "2020-01-01 03:04:05"
    tail = (f"{second} starting", f"{second} ! attempt 1 failed", f"{second} starting", *[f"{second} training"] * 40)
    with Display(console) as display:
        lines = PlainLog(["m.base"], display)
        for end in range(len(tail) + 1):
            lines.write({"m.base": Activity("m.base", RUNNING, tail=tail[max(0, end - 40) : end])}, NOTHING)
    assert shown(console).count("attempt 1 failed") == 1


def test_a_counter_is_a_bar_on_a_terminal_and_has_a_time_left_after_a_second(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(views, "time", SimpleNamespace(time=time.time, monotonic=lambda: clock[0]))
    for seconds, left in ((0.9, ""), (1, r"[\d-]+:[\d-]+:[\d-]+")):
        console = terminal()
        with counting("attacking [x]", 1000, console) as tell:
            tell(1)
            clock[0] += seconds
            tell(250)
        assert re.fullmatch(left, re.findall(r"attacking \[x\] .*250/1000(.*)", shown(console))[-1].strip())


def test_a_counter_in_a_log_is_a_line_after_a_second_and_then_each_ten(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(views.time, "time", lambda: clock[0])
    for total, expected in ((2500, "executing: 2,000/2,500"), (None, "executing: 2,000")):
        console = log()
        with counting("executing", total, console) as tell:
            tell(10)
            clock[0] += 1
            tell(20)
            clock[0] += 9
            tell(1999)
            clock[0] += 1
            tell(2000)
            tell(2001)
        first, line = shown(console).splitlines()
        assert first.endswith(expected.replace("2,000", "20", 1))
        assert re.fullmatch(rf"\d\d:\d\d:\d\d {expected}", line)


MODELS = [
    Activity("m.base", DONE),
    Activity("m.full.C1.s1", RUNNING, "training", 5, 10, began=80.0, updated=100.0),
    Activity("m.full.C2.s1", FAILED),
]
NOTHING = SweepProgress((0, 0), (0, 0), 0, None)


def test_a_line_says_what_it_counts_and_tells_what_is_left_only_while_something_runs():
    counts = SweepProgress((1, 3), (0, 1), 1, 60.0)
    done, running, failed = (_line(activity, counts) for activity in MODELS)
    assert done == "[1/3 models] m.base: done" and failed.startswith("[1/3 models] m.full.C2.s1: FAILED")
    assert running == "[1/3 models] m.full.C1.s1: training 5/10, about 1 min 00 s left"
    set_line = _line(Activity("training-set-C1-0123abcd", RUNNING, "making"), counts)
    assert set_line == "[0/1 inputs] training-set-C1-0123abcd: making, about 1 min 00 s left"
    for left in (None, 0.4):
        unknown = dataclasses.replace(counts, left=left)
        assert "left" not in _line(dataclasses.replace(MODELS[1], began=99.5), unknown), "before a second of its pace"
        stage_only = _line(MODELS[1], unknown)
        assert stage_only == "[1/3 models] m.full.C1.s1: training 5/10, about 20 s left of this stage"


def test_a_picture_tells_how_long_a_running_stage_still_takes():
    activities = {each.id: each for each in MODELS}
    counts = SweepProgress((1, 3), (0, 0), 1, None)
    picture = terminal()
    picture.print(_picture(activities, list(activities), time.time(), counts))
    assert "5/10, about 20 s left of this stage" in shown(picture)


def test_an_error_with_square_brackets_ends_neither_lines_nor_the_live_table(tmp_path):
    class Folder:
        progress = Files(str(tmp_path))

    out = io.StringIO()
    with watching(Console(file=out))(Folder(), ["a[/b]"], 0):
        with pytest.raises(ValueError), ProgressFile(Files(str(tmp_path)), "a").running("making"):
            raise ValueError("[/model] of [red]")
        (tmp_path / "a.json").write_text((tmp_path / "a.json").read_text().replace('"a"', '"a[/b]"'))
    assert "a[/b]: FAILED: ValueError: [/model] of [red]" in out.getvalue()
    activities = {"x": Activity("x", FAILED, error="[/model]"), "y": Activity("y", RUNNING, "[/a]", 1, 2, "[/b]")}
    picture = Console(file=io.StringIO(), force_terminal=True, width=80)
    picture.print(_picture(activities, ["x", "y"], time.time(), NOTHING))
    assert "[/model]" in picture.file.getvalue() and "[/b]" in picture.file.getvalue()


def test_a_log_gets_plain_lines_and_quiet_gets_none(tmp_path):
    class Folder:
        progress = Files(str(tmp_path))

    for quiet, expected in ((False, "a: done"), (True, "")):
        out = io.StringIO()
        activity = ProgressFile(Files(str(tmp_path)), "a")
        with watching(Console(file=out), quiet)(Folder(), ["a"], 0), activity.running("making"):
            time.sleep(0.1)
        assert expected in out.getvalue() and ("\x1b" not in out.getvalue()) and bool(out.getvalue()) != quiet


def test_a_stage_that_gets_no_further_is_told_when_it_falls_silent_and_then_once_a_minute(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(views.time, "time", lambda: clock[0])
    console = log()
    plain_log = PlainLog(["rows"], Display(console))
    how = "a block of 512 rows at a time by 3 methods"
    for second in range(240):
        clock[0] = 1000.0 + second
        done = min(second // 15, 4) * 512  # nothing after the first minute
        at = 1000.0 + min(second // 15, 4) * 15
        activities = {
            "rows": Activity("rows", RUNNING, stage="perturbing", done=done, total=14000, detail=how, updated=at)
        }
        plain_log.write(activities, dataclasses.replace(NOTHING, left=24.0, silent={"rows": clock[0] - at}))
    lines = shown(console).splitlines()
    same = [line for line in lines if "perturbing 2,048/14,000" in line]
    assert len(lines) - len(same) >= 4, "what moves is told as it moves"
    assert len(same) <= 2 + (240 - 60) // SAME_SECONDS
    assert same[0].endswith(f"{how}, about 24 s left") and same[1].endswith(f"{how}, no sign of life for 40 s")
    assert same[-1].endswith(" min 00 s") or "no sign of life for 2 min" in same[-1]


def test_a_dead_process_is_told_at_once_instead_of_how_far_it_was(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(views.time, "time", lambda: clock[0])
    console, activity = log(), Activity("m.C1.s1", RUNNING, "training", 83, 93, "loss 0.5")
    counts = dataclasses.replace(NOTHING, left=24.0)
    plain_log = PlainLog([activity.id], Display(console))
    for each in (activity, dataclasses.replace(activity, has_died=True)):
        plain_log.write({activity.id: each}, counts)
        clock[0] += 1
    alive, dead = shown(console).splitlines()
    assert alive.endswith("training 83/93, loss 0.5, about 24 s left")
    assert dead.endswith("m.C1.s1: its process died after: training 83/93: loss 0.5")
    for waits, last in [("", "training 83/93"), ("a GPU", "a wait for a GPU")]:
        dead, picture = dataclasses.replace(activity, has_died=True, waits=waits), terminal()
        picture.print(_picture({"m.C1.s1": dead}, ["m.C1.s1"], 0.0, counts))
        assert f"its process died after: {last}" in shown(picture)
