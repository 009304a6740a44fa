"""Order, sharing of equal programs, progress, and what is refused."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from raysweep.errors import ExecutionNotAllowed, RaysweepError, UsageError
from raysweep.execution import slot
from raysweep.execution.pool import Executor, require_permission
from raysweep.execution.slot import _START_CODE, LANGUAGES
from raysweep.programs import Lane, Limits, Oracle, Outcome, Program, Sandbox

LIMITS = Limits(timeout=5)


def test_verdicts_come_in_the_order_of_the_programs_whatever_ends_first():
    texts = ["import time; time.sleep(0.4)", "assert 0", "1 / 0", "pass"]
    with Executor(slots=3) as executor:
        outcomes = [verdict.outcome for verdict in executor.run([Program(text) for text in texts], LIMITS)]
    assert outcomes == [Outcome.PASSED, Outcome.FAILED, Outcome.EXCEPTION, Outcome.PASSED]


def test_slots_work_at_the_same_time():
    """The last program ends while all before it still run."""
    sleepers = [Program(f"import time; time.sleep(3600) #{n}") for n in range(3)]
    work = [(n, program, Limits(timeout=3600)) for n, program in enumerate([*sleepers, Program("pass")])]
    with Executor(slots=4) as executor, closing(executor.stream(work)) as stream:
        number, verdict = next(stream)
    assert (number, verdict.outcome) == (3, Outcome.PASSED)


@pytest.mark.parametrize("oracle", Oracle)
def test_the_kernel_ends_no_program_that_the_watch_leaves_its_time(oracle):
    """The kernel counts whole ticks of its clock, on a busy machine up to twice the time that a program has used."""
    text = "from resource import RLIMIT_CPU, getrlimit\ndef f(): return getrlimit(RLIMIT_CPU)"
    with Executor() as executor:
        (verdict,) = executor.run([Program(text, "assert f()[0] > 3 * 2", oracle=oracle)], Limits(timeout=2))
    assert verdict.outcome is Outcome.PASSED


def test_equal_programs_run_once():
    program = Program("import time, sys; print(time.monotonic_ns(), file=sys.stderr)\nassert 0")
    other = Program(program.text + "#")
    seen: list[int] = []
    with Executor(slots=2) as executor:
        verdicts = executor.run([program, other, program, program], LIMITS, seen.append)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.FAILED] * 4
    assert verdicts[0].stderr == verdicts[2].stderr == verdicts[3].stderr != verdicts[1].stderr
    assert seen in ([1, 4], [3, 4])


def test_an_executor_can_be_used_again_with_other_limits_and_with_nothing_to_do():
    with Executor() as executor:
        assert executor.run([], LIMITS) == []
        program = Program("x = bytearray(200 * 2**20)")
        assert executor.run([program], Limits(memory_mib=128))[0].outcome is Outcome.MEMORY
        assert executor.run([program], Limits(memory_mib=512))[0].outcome is Outcome.PASSED


def test_closing_ends_the_processes_and_leaves_no_folder():
    with Executor(slots=2) as executor:
        executor.run([Program("open('x', 'w')"), Program("import os; os.makedirs('a/b/c')")], LIMITS)
        running = [process for slot in executor._slots for process in slot.running]
        assert len(running) == 2
        assert all(psutil.pid_exists(pid) and Path(folder).is_dir() for pid, folder in running)
    assert not any(psutil.pid_exists(pid) or Path(folder).exists() for pid, folder in running)


@pytest.mark.parametrize(("killed", "starts"), [(2, 3), (3, 3)])
def test_a_process_that_is_killed_before_it_is_up_is_started_again(killed, starts, monkeypatch):
    started = refuse_starts(monkeypatch, lambda start: start < killed, None)
    with Executor() as executor:
        if killed < starts:
            assert executor.run([Program("pass")], LIMITS)[0].outcome is Outcome.PASSED
        else:
            with pytest.raises(RaysweepError, match=r"a process for programs can't be started: it ended with signal 9"):
                executor.level()
    assert len(started) == starts


def refuse_starts(monkeypatch: pytest.MonkeyPatch, refused: Callable[[int], bool], error: OSError | None) -> list[int]:
    """Let starts of slots' processes fail, or (None) the processes end at once; return the numbers of all starts."""
    starts: list[int] = []

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        starts.append(len(starts))
        if refused(starts[-1]) and error:
            raise error
        process = subprocess.Popen(*arguments, **options)
        if refused(starts[-1]):
            process.kill()
        return process

    monkeypatch.setattr(slot, "subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": start}))
    monkeypatch.setattr("raysweep.execution.isolation.room.PAUSE_SECONDS", 0.001)
    return starts


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_a_slot_waits_for_room_for_its_process(number, monkeypatch):
    starts = refuse_starts(monkeypatch, lambda start: start < 5, OSError(number, "no room"))
    with Executor() as executor:
        assert executor.run([Program("pass")], LIMITS)[0].outcome is Outcome.PASSED
    assert len(starts) == 6


@pytest.mark.slow
@pytest.mark.parametrize(("error", "tries"), [(BlockingIOError(errno.EAGAIN, "no room"), 1), (None, slot.STARTS)])
def test_a_slot_that_cannot_be_started_leaves_its_programs_to_the_others(error, tries, monkeypatch, tmp_path):
    """It isn't tried with every new answer, only after a rest."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("raysweep.execution.stream.REST_SECONDS", 1e6)
    starts = refuse_starts(monkeypatch, lambda start: start > 0, error)
    programs = [Program(f"x = {n}") for n in range(40)]
    with Executor(2, Sandbox(Lane.STRICT)) as executor:
        assert {verdict.outcome for verdict in executor.run(programs, LIMITS)} == {Outcome.PASSED}
    assert len(starts) == 1 + tries
    assert list(tmp_path.iterdir()) == []


def test_a_run_ends_where_no_slot_can_be_started(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("raysweep.execution.stream.START_SECONDS", 0.01)
    starts = refuse_starts(monkeypatch, lambda start: True, BlockingIOError(errno.EAGAIN, "no room"))
    with Executor(3) as executor, pytest.raises(RaysweepError, match=r"can't be started: .* no room"):
        executor.run([Program(f"x = {n}") for n in range(9)], LIMITS)
    assert len(starts) >= 3
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_hangs_before_it_is_up_is_one_clear_error_and_leaves_nothing(monkeypatch, tmp_path):
    assert slot.UP_SECONDS >= 600  # of which a machine that is a hundred times too busy leaves some seconds
    monkeypatch.setattr(slot, "UP_SECONDS", 0.0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with (
        Executor() as executor,
        pytest.raises(RaysweepError, match=r"can't be started: it hangs, with no word from it"),
    ):
        executor.run([Program("x", "tests")], LIMITS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_rested_slot_works_again(monkeypatch):
    monkeypatch.setattr("raysweep.execution.stream.REST_SECONDS", 0.0)
    starts = refuse_starts(monkeypatch, lambda start: 0 < start < 3, BlockingIOError(errno.EAGAIN, "no room"))
    with Executor(2, Sandbox(Lane.STRICT)) as executor:
        executor.run([Program(f"import time; time.sleep(.01) #{n}") for n in range(40)], LIMITS)
        assert [len(each.running) for each in executor._slots] == [1, 1]
    assert len(starts) == 4


@pytest.mark.slow
def test_a_launcher_that_is_killed_costs_no_program_its_verdict():
    programs = [Program(f"def f():\n    return {n}", f"assert f() == {n}") for n in range(20)]
    with Executor(1, Sandbox(Lane.STRICT)) as executor:
        executor.run(programs[:2], LIMITS)
        keeper, _ = executor._slots[0].running[0]
        _, launcher = sorted(psutil.Process(keeper).children(), key=lambda process: process.pid)  # the judge is first
        launcher.kill()
        verdicts = executor.run(programs, LIMITS)
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [(Outcome.PASSED, "")] * 20


def test_an_error_in_the_callback_ends_what_runs():
    """Nobody waits for the other program, which would take an hour."""
    programs = [Program("pass"), Program("import time; time.sleep(3600)")]

    def fail(done: int) -> None:
        raise ValueError("stop")

    executor = Executor(slots=2)
    with pytest.raises(ValueError, match="stop"):
        executor.run(programs, Limits(timeout=3600), fail)
    assert [slot.running for slot in executor._slots] == [[], []]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(timeout=0), "timeout must be above 0"),
        (Limits(wall_factor=0.5), "wall_factor at least 1"),
        (Limits(memory_mib=10), "memory_mib is 10; an interpreter alone needs 64"),
    ],
)
def test_limits_that_nothing_can_run_in_are_refused(limits, message):
    with pytest.raises(UsageError, match=message):
        Executor().run([Program("pass")], limits)


def test_other_languages_are_refused():
    with pytest.raises(UsageError, match="in 'cobol'; supported: python, java, cpp"):
        Executor().run([Program("STOP RUN.", language="cobol")], LIMITS)


def test_a_language_is_a_module_that_serves_a_slots_process(monkeypatch, tmp_path):
    (tmp_path / "reversed_python.py").write_text(
        "from raysweep.execution.python import lanes, start\n"
        "def main():\n"
        "    item = lanes.ProgramItem\n"
        "    item.__new__ = lambda cls, *fields: tuple.__new__(cls, [fields[0], fields[1][::-1], *fields[2:]])\n"
        "    start.main()\n"
    )
    monkeypatch.setitem(LANGUAGES, "nohtyp", "reversed_python")
    code = f"import sys; sys.path.append({str(tmp_path)!r}); {_START_CODE}"
    monkeypatch.setattr("raysweep.execution.slot._START_CODE", code)
    with Executor() as executor:
        texts = [Program("0 tressa", language="nohtyp"), Program("1 tressa", language="nohtyp"), Program("assert 1")]
        outcomes = [verdict.outcome for verdict in executor.run(texts, LIMITS)]
    assert outcomes == [Outcome.FAILED, Outcome.PASSED, Outcome.PASSED]


def test_other_systems_are_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UsageError, match="on Linux only, and this is darwin"):
        Executor()


def test_permission_is_asked_for_and_the_error_says_how_to_give_it():
    require_permission(True)
    with pytest.raises(
        ExecutionNotAllowed, match=r"--allow-code-execution .the config of a sweep may say `allow_code_execution: true`"
    ):
        require_permission(False)


UNSHOWN = {
    "\\udcff": "\udcff",
    "\\ud800": "\ud800",
    "\\x1b[2J": "\x1b[2J",
    "\\x00": "\0",
    "\\x9b": "\x9b",
    "\\u202e": "\u202e",
}
WAYS_TO_SAY_IT = [
    "def f(): raise ValueError({text!a})",
    "raise ValueError({text!a})",
    "def f(): raise type({text!a}, (Exception,), {{}})('x')",
    "def f(): raise KeyError({text!a})",
    "import sys\ndef f(): sys.stderr.write({text!a}); sys.stderr.flush()",
    "import sys, os\ndef f(): os.write(2, {text!a}.encode('utf-8', 'surrogatepass'))",
    "raise SystemExit({text!a})",
    "def f(): return type({text!a}, (), {{}})()",
    "def f(): return {{ {text!a}: [{text!a}] }}",
    "import sys\nsys.exit({text!a})",
    "x = [",
    "# {text}\ndef f(): raise ValueError",
]


@pytest.mark.slow
@pytest.mark.parametrize("oracle", [Oracle.OUTSIDE, Oracle.INSIDE])
def test_no_text_of_a_program_is_one_that_a_file_cannot_hold_or_a_terminal_obeys(oracle):
    """What a program says ends in files, on a terminal and on a page, through its verdict alone."""
    texts = ["".join(UNSHOWN.values()) + "é 漢 \u00a0", *UNSHOWN.values(), "\ud800" * 400]
    programs = [way.format(text=text) for way in WAYS_TO_SAY_IT for text in texts]
    tests = "assert f() == 1" if oracle is Oracle.OUTSIDE else "import inspect\nassert f() == 1"
    with Executor(slots=2) as executor:
        verdicts = executor.run([Program(text, tests) for text in programs], LIMITS)
    for program, verdict in zip(programs, verdicts, strict=True):
        assert verdict.outcome not in (Outcome.PASSED, Outcome.HARNESS_ERROR), program
        for said, kept in ((verdict.detail, ""), (verdict.stderr, "\n\t\r"), (verdict.parts, "")):
            said.encode()
            assert all(c.isprintable() or c.isspace() for c in said) and not set(said) & set("\0\x1b\x9b\u202e"), (
                program
            )
            assert len(said) <= 300 and not ({"\n", "\t", "\r"} - set(kept)) & set(said)
    assert verdicts[0].detail == "ValueError: " + "".join(UNSHOWN) + "é 漢"
