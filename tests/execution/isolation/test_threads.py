"""Limits of the number of threads, at every level of isolation and on older kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.execution import slot
from raysweep.execution.isolation import kernel
from raysweep.execution.isolation.threads import MAX_THREADS
from raysweep.execution.pool import Executor
from raysweep.programs import Lane, Level, Limits, Oracle, Outcome, Program, Sandbox

pytestmark = pytest.mark.apart

SANDBOX = Sandbox(Lane.STRICT, Level.LIMITS)
LIMITS = Limits(timeout=5)
START = """
import sys, threading, time
threading.stack_size(2**15)

def started(count):
    number = 1
    try:
        while number < count:
            threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
            number += 1
    except RuntimeError as error:
        print(number, error, file=sys.stderr)
        raise
    return number
"""
OLDER = "import sys; sys.path.append(sys.argv.pop(1)); from raysweep.execution.isolation import kernel; "
OLDER += "kernel.version = lambda: (5, 10); from {} import main; main()"
WITHOUT = [(), ("namespaces",), ("namespaces", "landlock", "seccomp")]


@pytest.mark.slow
@pytest.mark.parametrize("oracle", list(Oracle))
@pytest.mark.parametrize("without", WITHOUT)
def test_a_program_has_so_many_threads_and_no_more(without, oracle):
    tests = f"assert started({MAX_THREADS}) == {MAX_THREADS}"
    too_many = f"{START}\nstarted(3 * MAX_THREADS)\ntime.sleep(30)".replace("MAX_THREADS", str(MAX_THREADS))
    texts = [START, too_many, f"{START}# again"]
    with Executor(1, SANDBOX, without) as executor:
        first, second, third = executor.run([Program(text, tests, oracle=oracle) for text in texts], LIMITS)
        level = executor.level()
    assert first.outcome is third.outcome is Outcome.PASSED, first.detail
    assert second.outcome is Outcome.MEMORY
    by_the_kernel = level is Level.STRONG and kernel.version() >= (6, 14)
    assert second.detail == ("RuntimeError: can't start new thread" if by_the_kernel else "more than 128 threads")
    assert second.stderr == (f"{MAX_THREADS} can't start new thread\n" if by_the_kernel else "")


@pytest.mark.slow
def test_the_processes_of_a_program_count_together():
    each = f"{START}import os\nos.fork()\nstarted({MAX_THREADS // 2 + 9})\ntime.sleep(30)"
    with Executor(1, SANDBOX, WITHOUT[-1]) as executor:
        (verdict,) = executor.run([Program(each)], LIMITS)
    assert (verdict.outcome, verdict.detail) == (Outcome.MEMORY, "more than 128 threads")


def test_the_watch_counts_on_an_older_kernel_and_the_machines_own_limit_stays(monkeypatch):
    """On such a kernel the setting that limits a namespace is the machine's."""
    monkeypatch.setattr(slot, "_START_CODE", OLDER)
    before = Path("/proc/sys/kernel/pid_max").read_text()
    program = Program(f"{START}\nstarted(200)\ntime.sleep(30)")
    with Executor(1, SANDBOX) as executor:
        (verdict,) = executor.run([program], LIMITS)
    assert (verdict.outcome, verdict.detail) == (Outcome.MEMORY, "more than 128 threads")
    assert Path("/proc/sys/kernel/pid_max").read_text() == before


def test_the_threads_of_one_program_do_not_show_in_the_next_ones_number():
    if not Path("/proc/sys/kernel/ns_last_pid").exists():
        pytest.skip("this kernel can't set the number of the next process")
    number = "import os, sys\nprint(os.getpid(), file=sys.stderr)"
    texts = [number, f"{START}\nstarted(77)", f"{number}# after"]
    with Executor(1, SANDBOX) as executor:
        if executor.level() is not Level.STRONG:
            pytest.skip(f"the level is {executor.level()}: {executor.missing_layers()}")
        before, _, after = executor.run([Program(text) for text in texts], LIMITS)
    assert before.stderr == after.stderr == "301\n"
