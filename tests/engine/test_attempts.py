"""Attempts: how often, after which pauses, after which errors, and what is told of them."""

from __future__ import annotations

import dataclasses
import errno
import re
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from raysweep.engine import attempts
from raysweep.engine.attempts import STALLED, GaveUp, with_retries
from raysweep.engine.progress import ProgressFile, read_activity
from raysweep.errors import HopelessError, RaysweepError, SmallerNext, StoreError, UsageError
from raysweep.records import Recovery
from raysweep.storage import files as files_module
from raysweep.storage.backends import MARKER, full_disk_named
from raysweep.storage.files import Files
from tests.clock import Clock
from tests.paths import REPO
from tests.patience import PATIENCE

PATIENT = Recovery(retries=3, backoff_seconds=5, stall_seconds=0)


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """The pauses that were made; none takes any time."""
    made: list[float] = []
    monkeypatch.setattr(attempts.time, "sleep", made.append)
    return made


@pytest.fixture
def files(tmp_path) -> Files:
    return Files(str(tmp_path))


def work(files: Files, run: Callable[[], object], recovery: Recovery = PATIENT) -> object:
    """Do some work as a process that starts does it."""
    progress = ProgressFile(files, "cell")
    with progress.running("starting"):
        return with_retries(run, progress, recovery)


def failing(*errors: BaseException) -> Callable[[], str]:
    """Return something that raises these errors, one a call, and then works."""
    left = list(errors)

    def run() -> str:
        if left:
            raise left.pop(0)
        return "made"

    return run


def lines(files: Files) -> list[str]:
    """What was told, without the times."""
    activity = read_activity(files, "cell")
    assert activity is not None
    return [line.split(" ", 2)[2] for line in activity.tail]


def die_at(files: Files, *stage: object) -> None:
    """Leave what a process leaves that dies in its attempt."""
    progress = ProgressFile(files, "cell")
    progress.update("starting", force=True)
    progress.begin_attempt()
    progress.update(*stage)


def test_each_further_attempt_waits_twice_as_long_and_says_why(files, pauses, caplog):
    assert work(files, failing(RaysweepError("no space left"), OSError("trace\nback"))) == "made"
    assert pauses == [5, 10]
    assert lines(files) == [
        "starting",
        "! attempt 1 failed: no space left",
        "waits for attempt 2 of 4, in 5 s",
        "starting",
        "! attempt 2 failed: back",
        "waits for attempt 3 of 4, in 10 s",
        "starting",
        "done",
    ]
    assert not [record for record in caplog.records if record.levelname == "WARNING"], "no disk is full"


def test_an_attempt_after_which_the_next_takes_less_memory_is_not_counted(files, pauses):
    smaller = [SmallerNext(f"the next attempt takes {tokens} tokens a pass") for tokens in (512, 256, 128, 64)]
    assert work(files, failing(smaller[0], RaysweepError("no"), *smaller[1:]), Recovery(1, 5, 0)) == "made"
    with pytest.raises(RaysweepError, match="really no"):
        work(
            files.below("fails"),
            failing(smaller[0], RaysweepError("no"), RaysweepError("really no")),
            Recovery(1, 5, 0),
        )
    assert pauses == [5, 5], "only the failures cost a pause"
    assert "! attempt 2 begins again: the next attempt takes 64 tokens a pass" in lines(files)


def test_nor_is_one_that_failed_while_the_storage_was_away_whatever_its_error(tmp_path, pauses, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(files_module, "time", clock)
    root, away = tmp_path / "store", tmp_path / "away"
    files = Files(str(root))
    files.require_writable()
    errors = [OSError("no config.json"), UsageError("no model there"), RuntimeError("torn")]

    def run() -> str:
        if errors:
            root.rename(away)
            clock.after(100 if len(errors) > 1 else 1000, lambda: away.rename(root))
            raise errors.pop(0)
        return "made"

    with pytest.raises(StoreError, match=f"storage {root}: its folder, .* is gone"):
        work(files, run, Recovery(0, 5, 0))
    assert pauses == [] and not errors
    clock.sleep(1000)
    again = f"! attempt 1 begins again: storage {root} was away: its folder, or the file {MARKER} in it, is gone"
    assert lines(files).count(again) == 2


def test_nor_is_it_after_the_death_of_a_process(files, pauses):
    with pytest.raises(GeneratorExit):  # stands for a killed process
        work(files, failing(*[SmallerNext("less")] * 3, GeneratorExit()), Recovery(1, 5, 0))
    assert work(files, failing(), Recovery(1, 5, 0)) == "made"


def test_nor_is_a_death_that_the_next_process_excuses(files, pauses):
    for _ in range(5):
        die_at(files, "training", 5, 9)
        ProgressFile(files, "cell").repeat_attempt("node 10.0.0.7 was drained")
    assert work(files, failing(), Recovery(0, 5, 0)) == "made"
    assert pauses == [] and "! attempt 1 begins again: node 10.0.0.7 was drained" in lines(files)
    assert not [line for line in lines(files) if "failed" in line]


def test_a_death_after_an_excused_one_is_counted(files, pauses):
    die_at(files, "training", 5, 9)
    ProgressFile(files, "cell").repeat_attempt("node 10.0.0.7 was drained")
    die_at(files, "training", 6, 9)
    assert work(files, failing(), Recovery(1, 5, 0)) == "made"
    assert pauses == [5] and "! attempt 1 failed: its process died after: training 6/9" in lines(files)


def test_a_full_disk_is_named_once_while_it_is_waited_for_and_when_it_has_space_again(files, pauses, caplog):
    def write() -> str:
        if len(pauses) < 2:
            with full_disk_named("results of cell"):
                raise OSError(errno.ENOSPC, "No space left on device")
        return "made"

    assert work(files, write) == "made"
    waits, over = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert re.fullmatch(
        rf"cell waits for a full disk, [\d.]+ [GM]iB free in {files.root}: results of cell: no space is left .*", waits
    )
    assert re.fullmatch(rf"cell: there is space again, [\d.]+ [GM]iB free in {files.root}", over)


def test_the_last_attempts_error_is_raised_when_there_are_no_more(files, pauses):
    with pytest.raises(OSError, match="fourth"):
        work(files, failing(*(OSError(name) for name in ("first", "second", "third", "fourth", "fifth"))))
    assert pauses == [5, 10, 20]
    assert read_activity(files, "cell").error == "OSError: fourth"
    with pytest.raises(OSError):
        work(files.below("other"), failing(OSError("x")), Recovery(retries=0))
    assert len(pauses) == 3, "without retries there is one attempt"
    assert work(files.below("slow"), failing(*[OSError("x")] * 9), Recovery(retries=9, backoff_seconds=60)) == "made"
    assert pauses[3:] == [60, 120, 240] + [300] * 6, "no pause is longer than five minutes"


class Wrapper(Exception):
    """An error as Ray raises it: it has the one that it stands for in an attribute."""

    def __init__(self, **attributes: object) -> None:
        super().__init__("it failed elsewhere")
        vars(self).update(attributes)


def raised_from(cause: Exception) -> Exception:
    error = RaysweepError("it failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        HopelessError("loss is nan"),
        raised_from(HopelessError("loss is nan")),
        Wrapper(cause=HopelessError("loss is nan")),
        Wrapper(worker_failures={0: RaysweepError("x"), 1: Wrapper(cause=HopelessError("loss is nan"))}),
    ],
    ids=["itself", "raised from it", "as a cause", "on a worker"],
)
def test_an_error_that_no_attempt_can_help_is_raised_at_once(files, pauses, error):
    with pytest.raises(RaysweepError) as raised:
        work(files, failing(error))
    assert pauses == []
    assert read_activity(files, "cell").error == str(raised.value)


@pytest.mark.parametrize("error", [Wrapper(cause=OSError("x")), Wrapper(worker_failures={0: OSError("x")})])
def test_other_errors_from_elsewhere_are_tried_again(files, pauses, error):
    assert work(files, failing(error)) == "made" and len(pauses) == 1
    assert "! attempt 1 failed: x" in lines(files)


def test_of_several_workers_errors_the_one_that_explains_the_others_is_told(files, pauses):
    workers = {0: OSError("connection reset"), 1: Wrapper(cause=HopelessError("loss is nan")), 2: RaysweepError("odd")}
    with pytest.raises(HopelessError, match="loss is nan"):
        work(files, failing(Wrapper(controller_failure=Wrapper(worker_failures=workers))))


def test_ctrl_c_is_no_failed_attempt(files, pauses):
    with pytest.raises(KeyboardInterrupt):
        work(files, failing(KeyboardInterrupt()))
    assert pauses == [] and lines(files) == ["starting", "stopped"]


def test_attempts_of_processes_that_died_count(files, pauses):
    die_at(files, "training", 12, 40)
    die_at(files, "training", 30, 40)
    with pytest.raises(OSError, match="second"):
        work(files, failing(OSError("first"), OSError("second")))
    assert pauses == [10, 20], "the third and the fourth"
    assert "! attempt 2 failed: its process died after: training 30/40" in lines(files)


def test_after_too_many_deaths_it_gives_up_without_another_try(files, pauses):
    for _ in range(4):
        die_at(files, "training", 12, 40)
    with pytest.raises(GaveUp, match="gave up after 4 attempts: its process died after: training 12/40"):
        work(files, failing())
    assert pauses == []
    assert read_activity(files, "cell").state == "failed"


LIMIT = 0.05
"""Seconds without progress, by a clock of the process's own, after which it is ended."""
HANGS = """
import sys, threading, time
from raysweep.engine import attempts
from raysweep.engine.progress import ProgressFile
from raysweep.records import Recovery
from raysweep.storage.files import Files
from tests.clock import Clock

class Watched(ProgressFile):
    looks = 0

    def latest(self):
        self.looks += threading.current_thread().name == "watchdog"
        return super().latest()

limit = float(sys.argv[2])
attempts.time = clock = Clock()
progress = Watched(Files(sys.argv[1]), "cell")
recovery = Recovery(retries=1, backoff_seconds=0, stall_seconds=limit, may_exit=True)

def pass_time(seconds):
    clock.sleep(seconds)
    before = progress.looks
    while progress.looks < before + 2:  # the first of them has ended then
        time.sleep(.005)

def waits_works_and_hangs():
    progress.report_wait("a GPU")
    pass_time(limit / 2)
    pass_time(100 * limit)
    for step in range(10):
        progress.update("training", step, 10, force=True)
        pass_time(.9 * limit)
    clock.sleep(2 * limit)
    threading.Event().wait()

with progress.running("starting"):
    attempts.with_retries(waits_works_and_hangs, progress, recovery)
"""


@pytest.mark.slow
def test_a_process_that_hangs_is_ended_and_not_while_it_waits_or_works_and_the_next_one_knows_why(tmp_path, files):
    command = [sys.executable, "-c", HANGS, str(tmp_path), str(LIMIT)]
    assert subprocess.run(command, cwd=REPO, timeout=PATIENCE).returncode == STALLED
    assert work(files, failing(), Recovery(retries=1, backoff_seconds=0.1)) == "made"
    said = f"no progress for {LIMIT} s (`recovery.stall_seconds`) at: training 9/10"
    assert lines(files)[-6:] == [
        f"! {said}",
        "starting",
        f"! attempt 1 failed: {said}",
        "waits for attempt 2 of 2, in 0.1 s",
        "starting",
        "done",
    ]


def test_no_process_is_ended_that_nobody_starts_again(files):
    def is_watched() -> bool:
        return "watchdog" in {thread.name for thread in threading.enumerate()}

    limit = Recovery(retries=1, backoff_seconds=0, stall_seconds=PATIENCE)
    assert not work(files, is_watched, limit)
    assert work(files, is_watched, dataclasses.replace(limit, may_exit=True))
