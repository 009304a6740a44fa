"""What the machine does to compilers, programs and slots in Java and C++: kills, hangs, no room, a full disk.

In small: test_lost.py, which plays the machine's part; test_judging.py kills the processes of a slot.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from raysweep.execution import slot
from raysweep.execution.isolation.layers import LAYERS
from raysweep.execution.pool import Executor
from raysweep.programs import COMPILED, CPP, Level, Limits, Oracle, Outcome, Program, Sandbox
from tests.execution.compiled.processes import needs
from tests.execution.compiled.programs import LIMITS, TESTS, program
from tests.execution.scarce import NO_DISK, few_processes
from tests.patience import eventually

pytestmark = [pytest.mark.slow, pytest.mark.long]
ANY = Sandbox(require=Level.LIMITS)
ENDLESS = {
    "java": "class Solution {\n    public int half(int a) {\n        while (true) a++;\n    }\n}\n",
    "cpp": "int half(int a) {\n    for (volatile int b = a;; b = b + 1) {}\n}\n",
}
DIED = {
    "java": "javac was killed, hung or found no room, 2 times, and not for its own limits",
    "cpp": "g++ was killed, hung or found no room, 2 times, and not for its own limits",
}
WITHOUT = pytest.mark.parametrize("without", [(), ("namespaces",)], ids=["all layers", "no namespaces"])


@pytest.fixture(params=COMPILED)
def language(request: pytest.FixtureRequest) -> str:
    needs(request.param)
    return str(request.param)


THREADS = {
    "java": """\
        for (int i = 0; i < 40; i++) {
            Thread asleep = new Thread(() -> { try { Thread.sleep(60_000); } catch (InterruptedException e) { } });
            asleep.setDaemon(true);
            asleep.start();
        }
        return a / 2;""",
    "cpp": "for (int i = 0; i < 40; i++) std::thread([] { sleep(60); }).detach(); return a / 2;",
}
"""What starts threads at each of two calls, fewer than a program may have."""
HURRIED = (
    "import sys; sys.path.append(sys.argv.pop(1)); from raysweep.execution.isolation import capacity; "
    "from raysweep.execution.isolation.room import with_room; capacity.ROOM_SECONDS = 0.1; "
    "with_room.__defaults__ = (0.1,); from {} import main; main()"
)
"""Starts a slot that doesn't wait for room."""
NO_ROOM = {
    ("java", Oracle.OUTSIDE): 3,
    ("java", Oracle.INSIDE): 3,
    ("cpp", Oracle.OUTSIDE): 0,
    ("cpp", Oracle.INSIDE): 1,
}
"""How many more processes and threads a slot gets when it gets too few for any program.

With one, g++ starts, and waits 15 seconds for room for the compiler itself.
"""


@pytest.mark.parametrize("oracle", Oracle)
def test_what_the_machine_refuses_a_program_is_no_fault_of_the_program(language, oracle, monkeypatch):
    """Outside and inside differ in what tells of the error."""
    monkeypatch.setattr(slot, "_START_CODE", HURRIED)
    passing, failing = program(language, "passed", oracle), program(language, "failed", oracle)
    text = passing.text.replace("return a / 2;", THREADS[language]).replace(
        "<unistd.h>", "<unistd.h>\n#include <thread>"
    )
    threads = dataclasses.replace(passing, text=text)
    with Executor(sandbox=ANY) as executor:
        first = executor.run([threads, passing, failing], LIMITS)
        ((pid, _),) = executor._slots[0].running
        with few_processes(pid, 30):
            some = executor.run([threads, passing, program(language, "killed", oracle)], LIMITS)
        with few_processes(pid, NO_ROOM[language, oracle]):
            none = executor.run([passing, failing], LIMITS)
        last = executor.run([threads, passing], LIMITS)
        assert executor._slots[0].running[0][0] == pid
    assert [str(verdict.outcome) for verdict in first] == ["passed", "passed", "failed"]
    assert [str(verdict.outcome) for verdict in some] == ["harness_error", "passed", "killed"]
    assert some[0].detail == "it got no further thread, and the machine had no room for 128, which it may have"
    assert [str(verdict.outcome) for verdict in none] == ["harness_error"] * 2
    assert {verdict.detail for verdict in none} == {"it could not be started" if language == "java" else DIED["cpp"]}
    assert [str(verdict.outcome) for verdict in last] == ["passed"] * 2


NO_FORKS = """
import os, sys
sys.path.append(sys.argv.pop(1))
from raysweep.execution.compiled import launcher
from raysweep.execution.python import forks
serve, has_room, left = launcher.CompiledLauncher.serve, forks.with_room, [{}]
def refuse(start):
    left[0] -= 1
    if left[0] >= 0:
        raise OSError(11, os.strerror(11))
    return has_room(start)
def refusing(launcher):
    forks.with_room = refuse
    serve(launcher)
launcher.CompiledLauncher.serve = refusing
from {{}} import main
main()
"""
"""Starts a slot whose launcher finds no room for so many processes of programs."""


@pytest.mark.parametrize(("failures", "outcomes"), [(1, ["passed"] * 2), (3, ["harness_error", "passed"])])
def test_a_program_for_which_there_is_no_process_is_run_again(language, failures, outcomes, monkeypatch):
    """Both are judged by the slot that has begun with the first one."""
    monkeypatch.setattr(slot, "_START_CODE", NO_FORKS.format(failures))
    with Executor(sandbox=ANY) as executor:
        verdicts = executor.run([program(language, "passed")], LIMITS)
        begun = executor._slots[0].running
        verdicts += executor.run([program(language, "passed", Oracle.OUTSIDE)], LIMITS)
        assert executor._slots[0].running == begun
    assert [str(verdict.outcome) for verdict in verdicts] == outcomes
    told = "it could not be started: Resource temporarily unavailable"
    assert verdicts[0].detail == ("" if failures == 1 else told)


HUNG = (
    "import sys; sys.path.append(sys.argv.pop(1)); from raysweep.execution.compiled.cpp import builder; "
    "builder.WALL_FACTOR = 0.1; from {} import main; main()"
)
"""Starts a slot that waits two seconds for g++."""


def test_a_slot_whose_box_cannot_be_mounted_anew_ends_and_another_judges_on(monkeypatch):
    """Each run of g++ has a disk of its own. In small: tests/execution/python/test_lanes.py."""
    needs(CPP)
    monkeypatch.setattr(slot, "_START_CODE", NO_DISK)
    of = program(CPP, "passed", Oracle.INSIDE)
    with Executor() as executor:
        if executor.level() < Level.STRONG:
            pytest.skip("this machine mounts no disks")
        verdicts = executor.run([dataclasses.replace(of, text=of.text + "\n" * number) for number in range(4)], LIMITS)
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [(Outcome.PASSED, "")] * 4


def take_gxxs_place(folder: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Put a script first on the path that does something else than g++ in a case."""
    (folder / "g++").write_text(f'#!/bin/sh\ncase "$*" in {case};; *) exec {shutil.which("g++")} "$@";; esac\n')
    (folder / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_a_gxx_that_hangs_is_the_machines_doing(tmp_path, monkeypatch):
    """Here it sleeps, as if its container had been stopped, when it is to compile a program."""
    needs("cpp")
    take_gxxs_place(tmp_path, monkeypatch, "*-o?a.out*) sleep 3600")
    monkeypatch.setattr(slot, "_START_CODE", HUNG)
    with Executor(sandbox=ANY, without=LAYERS) as executor:
        (verdict,) = executor.run([program("cpp", "passed")], LIMITS)
    assert (verdict.outcome, verdict.detail) == (Outcome.HARNESS_ERROR, DIED["cpp"])


def test_a_program_that_the_kernel_does_not_start_is_an_error_of_the_machine(tmp_path, monkeypatch):
    """Here g++ makes something else than a program, as if the kernel executed no file in memory."""
    needs("cpp")
    take_gxxs_place(tmp_path, monkeypatch, "*server.o*) echo no program > a.out")
    with Executor(sandbox=ANY, without=LAYERS) as executor:
        (verdict,) = executor.run([program("cpp", "passed")], LIMITS)
    told = "it could not be started: Exec format error"
    assert (verdict.outcome, verdict.detail) == (Outcome.HARNESS_ERROR, told)


@WITHOUT
@pytest.mark.parametrize("killed", ["nothing", "the keeper", "the program", "all below the keeper"])
def test_no_process_file_or_mount_is_left_whatever_was_killed(language, killed, without, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    endless = dataclasses.replace(program(language, "passed"), text=ENDLESS[language])
    programs = [endless, program(language, "passed"), program(language, "failed")]
    seen: set[psutil.Process] = set()
    with Executor(sandbox=ANY, without=without) as executor:
        executor.run(programs[1:2], LIMITS)
        ((pid, folder),) = executor._slots[0].running
        assert Path(folder).parent == tmp_path
        killer = threading.Thread(target=_kill_once, args=(killed, psutil.Process(pid), seen))
        killer.start()
        verdicts = executor.run(programs, Limits(timeout=4, wall_factor=1000))
        killer.join()
    expected = Outcome.KILLED if killed == "the program" else Outcome.TIMEOUT
    assert [verdict.outcome for verdict in verdicts] == [expected, Outcome.PASSED, Outcome.FAILED], verdicts
    assert len(seen) > 3 and psutil.wait_procs(seen, 20)[1] == []
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert [process for process in psutil.process_iter() if _belongs_to(process, str(tmp_path))] == []


LONG = """\
template <int N, int M> struct Bomb { static const int value = Bomb<N - 1, M>::value + Bomb<N - 1, M + 1>::value; };
template <int M> struct Bomb<0, M> { static const int value = 1; };
int half(int a) { return Bomb<800, 0>::value; }
"""
"""Keeps g++ busy until its limit ends it."""
OWNER = """
import os, time
from raysweep.execution.pool import Executor
from raysweep.programs import *
executor = Executor(1, Sandbox(require=Level.LIMITS), {without!r})
executor.run([Program("", {tests!r}, "cpp", Oracle.INSIDE)], Limits())
fork = os.fork()
if fork == 0:
    time.sleep(3600)
print(fork, flush=True)
executor.run([Program({text!r}, {tests!r}, "cpp", Oracle.INSIDE)], Limits())
"""


@WITHOUT
def test_a_killed_slot_leaves_nothing_that_gxx_has_started(without):
    needs("cpp")
    seen: list[psutil.Process] = []
    with Executor(sandbox=ANY, without=without) as executor:
        executor.run([program("cpp", "failed", Oracle.INSIDE)], LIMITS)
        (slot,) = executor._slots

        def compiles(since: float) -> bool:
            """Return whether the program's text is compiled; a slot that starts compiles one of its own before."""
            return slot.current.deadline > since and bool(_compilers(slot.running))

        def kill() -> None:
            """Kill the keeper as often as the program is tried."""
            last = slot.current.deadline
            for _ in range(2):
                assert eventually(functools.partial(compiles, last))
                last = slot.current.deadline
                seen.extend(_compilers(slot.running))
                os.kill(slot.running[0][0], signal.SIGKILL)
                assert eventually(lambda: not _compilers(slot.running))

        killer = threading.Thread(target=kill)
        killer.start()
        (verdict,) = executor.run([Program(LONG, TESTS["cpp"], "cpp", Oracle.INSIDE)], LIMITS)
        killer.join()
    assert verdict.detail.startswith("it ended its slot 2 times; the last time it ended with ")
    assert verdict.outcome == (Outcome.HARNESS_ERROR if verdict.level >= Level.FILTERED else Outcome.KILLED)
    assert len(seen) == 2 and eventually(lambda: not any(_works(process) for process in seen))


@WITHOUT
def test_the_death_of_the_owner_leaves_nothing_that_gxx_has_started(without, tmp_path):
    """A fork of the owner holds the slot's pipes open, so only the keeper notices it. It removes its folder last."""
    needs("cpp")
    code = OWNER.format(without=without, text=LONG, tests=TESTS["cpp"])
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    owner = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    fork = int(owner.stdout.readline())
    try:
        assert eventually(lambda: bool(_compilers([(owner.pid, "")])))
        seen = _compilers([(owner.pid, "")])
        owner.kill()
        owner.wait()
        assert eventually(lambda: list(tmp_path.iterdir()) == [])
        assert seen and eventually(lambda: not any(_works(process) for process in seen))
    finally:
        owner.kill()
        os.kill(fork, signal.SIGKILL)
        owner.communicate()


def _compilers(of: list[tuple[int, str]]) -> list[psutil.Process]:
    """Return the processes of slots that compile a program's text, as g++ starts them."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for process in [one for pid, _ in of for one in psutil.Process(pid).children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                if process.name() == "cc1plus" and "program.cpp" in process.cmdline():
                    found.append(process)
    return found


def _works(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _kill_once(what: str, keeper: psutil.Process, seen: set[psutil.Process]) -> None:
    """Wait until the endless program works, note a slot's processes, and kill some of them."""
    first: dict[psutil.Process, float] = {}
    busy: list[psutil.Process] = []

    def is_working() -> bool:
        """The endless program works for seconds; compilers and tests don't."""
        for process in keeper.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                seconds = sum(process.cpu_times()[:2])
                if seconds - first.setdefault(process, seconds) > 2:
                    busy.append(process)
        return busy != []

    assert eventually(is_working)
    below = keeper.children(recursive=True)
    seen |= {keeper, *below}
    for process in {"nothing": [], "the keeper": [keeper], "the program": busy}.get(what, below):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _belongs_to(process: psutil.Process, folder: str) -> bool:
    with suppress(psutil.Error):
        return any(folder in text for text in (*process.cmdline(), *process.environ().values()))
    return False


def test_killed_compilers_and_tests_lose_no_verdict():
    """Java's live on between programs."""
    needs("java")
    with Executor(sandbox=ANY) as executor:
        executor.run([program("java", "passed")], LIMITS)
        ((pid, _),) = executor._slots[0].running
        assert _killed("java", pid) == 2
        (verdict,) = executor.run([program("java", "passed")], LIMITS)
        assert executor._slots[0].running[0][0] == pid
    assert (verdict.outcome, verdict.detail) == (Outcome.PASSED, "")


COMPILING = {"java": "raysweep.CompilerServer", "cpp": "cc1plus"}
"""What stands in the command of a process that compiles."""


@pytest.mark.parametrize(("kills", "outcome"), [(1, Outcome.PASSED), (1000, Outcome.HARNESS_ERROR)])
def test_a_compiler_that_is_killed_compiles_again_and_once_more_is_no_fault_of_the_text(language, kills, outcome):
    """Nothing is lost and nothing is left: the next program passes, and the slot ends as any other."""
    passing = program(language, "passed", Oracle.INSIDE)
    slow = dataclasses.replace(passing, text=f"#include <regex>\n{passing.text}") if language == "cpp" else passing
    with Executor(sandbox=ANY) as executor:
        executor.run([Program("int one() {", TESTS[language], language, Oracle.INSIDE)], LIMITS)  # it starts the slot
        ((pid, folder),) = executor._slots[0].running
        if language == "java":
            assert _killed(COMPILING["java"], pid) == 1  # the one that compiles is a new one
        with killing(COMPILING[language], pid, kills) as killed:
            (verdict,) = executor.run([slow], LIMITS)
        (after,) = executor.run([dataclasses.replace(passing, oracle=Oracle.INSIDE)], LIMITS)
        assert executor._slots[0].running == [(pid, folder)]
        below = psutil.Process(pid).children(recursive=True)
    assert len(killed) >= (kills if kills == 1 else 2)
    detail = "" if outcome is Outcome.PASSED else DIED[language]
    assert (verdict.outcome, verdict.detail) == (outcome, detail)
    assert after.outcome is Outcome.PASSED
    assert psutil.wait_procs(below, 20)[1] == []
    assert not Path(folder).exists()
    assert folder not in Path("/proc/self/mountinfo").read_text()


@contextmanager
def killing(name: str, slot: int, most: int) -> Iterator[list[int]]:
    """Kill a slot's processes as soon as they start that have a word in their command, so many of them."""
    killed: list[int] = []
    ended = threading.Event()

    def kill() -> None:
        while len(killed) < most and not ended.is_set():
            killed.extend([1] * _killed(name, slot, most - len(killed)))

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        ended.set()
        killer.join()


def _killed(name: str, slot: int, most: int = 1000) -> int:
    """Kill a slot's processes that have a name or an argument, at most so many; return how many there were."""
    count = 0
    for process in psutil.Process(slot).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if (
                count < most
                and process.status() != psutil.STATUS_ZOMBIE
                and name in (process.name(), *process.cmdline())
            ):
                process.kill()
                count += 1
    return count


DISK_MIB = 200
LEFT = {"cpp": (0, 2**18), "java": (0,)}
"""Bytes that are left on the disk: none, and too few for what g++ writes, which then says so in words of its own."""


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a small disk, on which slots have their folders."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", tmp_path], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"nothing can be mounted here: {made.stderr.strip()}")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.mark.apart
def test_a_full_disk_is_no_fault_of_a_program_and_nothing_is_left_when_it_has_room_again(language, disk, monkeypatch):
    needs(language)
    monkeypatch.setattr(slot, "_START_CODE", HURRIED)
    programs = [program(language, outcome, Oracle.INSIDE) for outcome in ("passed", "compile_error")]
    full = []
    with Executor(sandbox=ANY, without=("namespaces",)) as executor:
        first = executor.run(programs, LIMITS)
        ((pid, folder),) = executor._slots[0].running
        for left in LEFT[language]:
            _fill(disk / "filler", left)
            full += executor.run(programs[:1], LIMITS)
            (disk / "filler").unlink()
        last = executor.run(programs, LIMITS)
        assert executor._slots[0].running == [(pid, folder)]
        boxes = [path for path in Path(folder).glob("*/box/*") if path.is_file()]
    outcomes = [Outcome.PASSED, Outcome.COMPILE_ERROR]
    assert [verdict.outcome for verdict in first] == [verdict.outcome for verdict in last] == outcomes
    assert [verdict.outcome for verdict in full] == [Outcome.HARNESS_ERROR] * len(LEFT[language])
    assert boxes == [] and list(disk.iterdir()) == []


def _fill(path: Path, left: int) -> None:
    """Fill a disk but for so many bytes."""
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 2**12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
        file.truncate(file.tell() - left)
