"""Nothing survives a program, its slot or its parent. Every tree here is small and ends by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress
from multiprocessing import connection
from pathlib import Path
from typing import Any

import psutil
import pytest

from raysweep.execution.isolation import process_tree
from raysweep.execution.pool import Executor
from raysweep.programs import Lane, Level, Limits, Outcome, Program, Sandbox
from tests.clock import Clock
from tests.patience import eventually

pytestmark = [pytest.mark.slow, pytest.mark.apart]

LIMITS = Limits(timeout=2, wall_factor=10)
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(20):
            try: os.close(fd)
            except OSError: pass
        os.execv({python!r}, ['python', '-S', '-c', 'import time; time.sleep(60)', {tag!r}])
    os._exit(0)
os.wait()
time.sleep(0.3)
"""


def tagged(tag: str) -> list[psutil.Process]:
    """All living processes whose command line ends in `tag`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[-1:] == [tag] and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def daemon(tag: str) -> str:
    return DAEMON.format(python=sys.executable, tag=tag)


BARE = Sandbox(Lane.STRICT, Level.LIMITS)
ALL = ("namespaces", "landlock", "seccomp")


def bare() -> Executor:
    """Return an executor without the layers that forbid processes: clearing up must do it all."""
    return Executor(1, BARE, without=ALL)


def test_a_daemon_of_a_passing_program_is_killed():
    tag = f"daemon-{os.getpid()}-a"
    with bare() as executor:
        verdict = executor.run([Program(daemon(tag))], LIMITS)[0]
        assert tagged(tag) == []
    assert (verdict.outcome, verdict.level) == (Outcome.PASSED, "limits")


def test_a_small_tree_of_sleepers_is_killed_with_a_program_that_times_out():
    tag = f"tree-{os.getpid()}"
    sleeper = f"os.execv({sys.executable!r}, ['python', '-S', '-c', 'import time; time.sleep(60)', {tag!r}])"
    text = f"import os, time\nfor _ in range(4): os.fork()\nif os.getpid() != os.getsid(0): os.setpgid(0, 0)\n{sleeper}"
    with bare() as executor:
        verdict = executor.run([Program(text)], LIMITS)[0]
        assert tagged(tag) == []
    assert verdict.outcome is Outcome.TIMEOUT


def test_more_processes_than_allowed_end_a_program():
    text = "import os, time\nfor _ in range(70):\n    if os.fork() == 0: time.sleep(60)\ntime.sleep(60)"
    with bare() as executor:
        verdict = executor.run([Program(text)], Limits(timeout=20))[0]
    assert (verdict.outcome, verdict.detail) == (Outcome.KILLED, "more than 64 processes")


def test_cpu_time_of_children_counts():
    text = "import os\nfor _ in range(2):\n    if os.fork() == 0:\n        while True: pass\nos.wait()"
    with bare() as executor:
        assert executor.run([Program(text)], Limits(timeout=0.5))[0].outcome is Outcome.TIMEOUT


def test_descendants_are_found_without_the_kernels_list_too(monkeypatch):
    child = subprocess.Popen([sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '30'])"])
    try:
        assert eventually(lambda: len(list(process_tree.descendants(child.pid))) == 1)
        listed = set(process_tree.descendants(os.getpid()))
        monkeypatch.setattr(process_tree, "_KERNEL_LISTS_CHILDREN", False)
        assert set(process_tree.descendants(os.getpid())) == listed
    finally:
        for pid in list(process_tree.descendants(child.pid)):
            os.kill(pid, signal.SIGKILL)
        child.kill()
        child.wait()


@pytest.mark.parametrize("without", [(), ("namespaces",), ALL])
def test_a_slot_killed_in_the_middle_loses_nothing_and_leaves_nothing(without):
    programs = [Program(f"import time; time.sleep(0.5) #{n}") for n in range(6)] + [Program("assert 0")]
    with Executor(1, BARE, without) as executor:
        verdicts = []
        for at, (_, verdict) in enumerate(executor.stream((n, one, LIMITS) for n, one in enumerate(programs))):
            verdicts.append(verdict)
            if at == 1:
                ((keeper, _),) = executor._slots[0].running
                below = psutil.Process(keeper).children(recursive=True)
                os.kill(keeper, signal.SIGKILL)
        assert below and eventually(lambda: not any(process.is_running() for process in below))
    assert sorted(verdict.outcome for verdict in verdicts) == ["failed", *["passed"] * 6]


def test_a_program_that_kills_its_slot_each_time_is_killed_and_harms_no_other():
    programs = [Program("import os; os.kill(os.getppid(), 9)"), Program("assert True")]
    with bare() as executor:
        first, second = executor.run(programs, LIMITS)
    told = "it ended its slot 2 times; the last time it ended with "
    assert first.outcome is Outcome.KILLED and first.detail.startswith(told)
    assert second.outcome is Outcome.PASSED


def test_a_slot_that_died_while_idle_is_replaced():
    with Executor() as executor:
        executor.run([Program("pass")], LIMITS)
        ((keeper, _),) = executor._slots[0].running
        os.kill(keeper, signal.SIGKILL)
        assert eventually(lambda: psutil.Process(keeper).status() == psutil.STATUS_ZOMBIE)
        assert executor.run([Program("pass")], LIMITS)[0].outcome is Outcome.PASSED


def test_the_folder_of_a_slot_that_died_while_idle_is_removed_at_the_end():
    with Executor() as executor:
        executor.level()
        ((keeper, folder),) = executor._slots[0].running
        os.kill(keeper, signal.SIGKILL)
    assert not Path(folder).exists()


def test_a_slot_that_went_silent_is_replaced(monkeypatch):
    clock, silences = Clock(), []
    monkeypatch.setattr("raysweep.execution.slot.time", clock)
    monkeypatch.setattr("raysweep.execution.stream.time", clock)
    text = "import os, signal; os.kill(os.getppid(), signal.SIGSTOP)"
    with bare() as executor:

        def news(slots: Collection[int], seconds: float) -> list[Any]:
            """Wait for answers; once a process of the slot is stopped, let the time pass in which one may come."""
            found: list[Any] = []

            def is_over() -> bool:
                found[:] = connection.wait(slots, 0)
                return bool(found) or has_stopped(executor)

            assert eventually(is_over)
            if not found:
                clock.sleep(seconds + 1)
                silences.append(seconds)
                assert len(silences) <= 3, "with the other program, and twice alone"
            return found

        monkeypatch.setattr("raysweep.execution.stream.wait", news)
        verdicts = executor.run([Program(text), Program("pass")], LIMITS)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.KILLED, Outcome.PASSED]


def has_stopped(executor: Executor) -> bool:
    """Return whether a process of an executor's slot is stopped."""
    ((keeper, _),) = executor._slots[0].running
    with suppress(psutil.NoSuchProcess):
        tree = [psutil.Process(keeper), *psutil.Process(keeper).children(recursive=True)]
        return any(process.status() == psutil.STATUS_STOPPED for process in tree)
    return False


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("without", [(), ("namespaces",), ALL])
def test_the_death_of_the_parent_ends_its_programs_and_removes_its_folder(end, without):
    code = (
        "import sys\nfrom raysweep.execution.pool import Executor\nfrom raysweep.programs import *\n"
        f"executor = Executor(1, Sandbox(Lane.STRICT, Level.LIMITS), {without!r})\nexecutor.level()\n"
        "print(executor._slots[0].running[0][1], flush=True)\n"
        "executor.run([Program('while True: pass', 'pass')], Limits(timeout=60))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    folder = Path(parent.stdout.readline().strip())
    assert eventually(lambda: len(psutil.Process(parent.pid).children(recursive=True)) == 4)
    below = psutil.Process(parent.pid).children(recursive=True)
    os.kill(parent.pid, end)
    parent.wait()
    assert eventually(lambda: not any(process.is_running() for process in below))
    assert folder.name.startswith("raysweep_") and eventually(lambda: not folder.exists())
