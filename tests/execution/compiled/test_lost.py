"""What the machine does to compilers and programs is tried again, and is no verdict.

The machine's part is played here: no test needs a machine in need. test_machine.py has these cases with whole slots.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raysweep.errors import UsageError
from raysweep.execution.board import Board
from raysweep.execution.compiled import judge, peers
from raysweep.execution.compiled.builders import TOO_LONG, CompileError, CompilerLost
from raysweep.execution.compiled.cpp import builder as cpp
from raysweep.execution.compiled.java import builder as java
from raysweep.execution.compiled.peers import Peer, PeerEnded, PeerHangs, PeerSlow
from raysweep.execution.compiled.relay import TESTS_ENDED, ask
from raysweep.execution.isolation import capacity
from raysweep.execution.isolation.layers import Layers
from raysweep.execution.isolation.watch import ProcessEnd
from raysweep.execution.messages import ProgramItem
from raysweep.execution.pool import Executor
from raysweep.execution.python import forks
from raysweep.execution.python.outside.launcher import End
from raysweep.execution.slot import Request, SlotLost
from raysweep.execution.stream import Stream
from raysweep.programs import DEFAULT_SANDBOX, Level, Limits, Oracle, Outcome, Program
from tests.execution.compiled.processes import needs

PROGRAM = b"program"
ITEM = ProgramItem(1, "", "", 1.0, 20.0, 2**20, 2**10)


def _made(status: int = 0, messages: str = "", stopped: tuple[str, str] | None = None) -> cpp._Compiled:
    return cpp._Compiled(b"" if status else PROGRAM, ProcessEnd(status, 0.1, stopped), messages)


GOOD = _made()
LATE = _made(signal.SIGKILL, stopped=(Outcome.TIMEOUT, "more than 400 s of wall time"))
SLOW = _made(signal.SIGKILL, stopped=(Outcome.COMPILE_ERROR, TOO_LONG))
FULL = _made(256, "program.cpp:5:81: fatal error: error writing to /box/cc.s: No space left on device\n")
FULL_LINKER = _made(256, "/usr/bin/ld: final link failed: No space left on device\ncollect2: error: ld returned 1\n")
WORDS = _made(256, "program.cpp:2:1: error: expected ')' before 'WORD'\n")
NO_ROOM = None
NO_PROCESS = _made(
    256,
    "g++: fatal error: cannot execute \u2018/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus\u2019: vfork: "
    "Resource temporarily unavailable\ncompilation terminated.\n",
)
LOST = "g++ was killed, hung or found no room, 2 times, and not for its own limits"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bytes]:
    """Return a function that compiles a text, with what g++ does at each try."""

    def compiled(
        *tries: cpp._Compiled | None, seconds: float = 0.1, own_disk: bool = False, disk: bool = True, rules: int = 5
    ) -> bytes:
        used, left = iter(range(99)), iter(tries)
        monkeypatch.setattr(cpp, "_seconds_of_children", lambda: next(used) * seconds)
        monkeypatch.setattr(cpp, "had_room", lambda *_: True)
        monkeypatch.setattr(cpp, "had_disk", lambda *_: disk)
        monkeypatch.setattr(cpp.CppBuilder, "_compile_once", lambda *_: next(left))
        layers = Layers("", own_disk=own_disk, rules=rules or None)
        fork: Any = SimpleNamespace(layers=layers, box=SimpleNamespace(folder=""))
        chain: Any = SimpleNamespace(flags=(), program="g++")
        result = cpp.CppBuilder(fork, layers, chain, "", 0)._behind_headers("", {}, [])
        assert list(left) == []
        return result

    return compiled


def test_a_gxx_that_the_machine_stops_is_tried_again(compiled):
    for first in (LATE, NO_ROOM, NO_PROCESS, FULL, FULL_LINKER, _made(signal.SIGKILL)):
        assert compiled(first, GOOD) == PROGRAM


def test_a_gxx_that_the_machine_stops_twice_says_nothing_of_the_text(compiled):
    for one in (LATE, NO_ROOM, NO_PROCESS, _made(signal.SIGKILL)):
        with pytest.raises(CompilerLost) as lost:
            compiled(one, one)
        assert str(lost.value) == LOST
    for one in (FULL, FULL_LINKER):
        with pytest.raises(CompilerLost):
            compiled(one, one, disk=False)


def test_a_gxx_that_has_used_its_cpu_time_is_the_texts_doing_however_it_ended(compiled):
    for one, seconds in ((LATE, 30.0), (_made(signal.SIGKILL), 30.0), (SLOW, 0.1)):
        with pytest.raises(CompileError) as refused:
            compiled(one, seconds=seconds)
        assert str(refused.value) == TOO_LONG


def test_a_full_disk_is_the_texts_doing_if_it_is_the_boxs_own_or_has_room_when_it_is_tried(compiled):
    for one in (FULL, FULL_LINKER):
        for tries, own in (((one,), True), ((one, one), False)):
            with pytest.raises(CompileError) as refused:
                compiled(*tries, own_disk=own)
            assert str(refused.value) == "what g++ writes for it has more than 64 MiB"


def test_words_of_gxx_are_shown_only_where_it_can_read_no_other_files(compiled):
    with pytest.raises(CompileError) as refused:
        compiled(WORDS, WORDS)
    assert str(refused.value) == "line 2: expected ')' before 'WORD'"
    with pytest.raises(CompileError) as refused:
        compiled(WORDS, WORDS, rules=0)
    assert "without Landlock" in str(refused.value) and "WORD" not in str(refused.value)


@pytest.mark.parametrize("number", [errno.EFBIG, errno.ENOSPC, errno.EDQUOT])
def test_a_text_that_is_too_long_for_a_file_is_refused_and_a_disk_without_room_is_not_its_doing(monkeypatch, number):
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(number, os.strerror(number))

    renewed: list[str] = []
    monkeypatch.setattr(Path, "write_bytes", refuse)
    for name in ("had_room", "had_disk"):
        monkeypatch.setattr(cpp, name, lambda *_: True)
    fork: Any = SimpleNamespace(box=SimpleNamespace(folder="", renew_folder=lambda: renewed.append("folder")))
    chain: Any = SimpleNamespace(flags=())
    expected = (
        (CompileError, "its text has more than 16 MiB") if number == errno.EFBIG else (CompilerLost, "found no room")
    )
    with pytest.raises(expected[0], match=expected[1]):
        cpp.CppBuilder(fork, Layers(""), chain, "", 0)._compile({"program.cpp": b""}, [])
    assert len(renewed) == (1 if number == errno.EFBIG else 2)


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bytes]:
    """Return a function that compiles in Java, with what becomes of each request or start of a compiler."""

    def answered(*ends: BaseException | bytes) -> bytes:
        left = iter(ends)

        def receive(seconds: float) -> bytes:
            end = next(left)
            if isinstance(end, BaseException):
                raise end
            return end

        def jvm(*_: object) -> Any:
            nothing = lambda *_: None  # noqa: E731
            return SimpleNamespace(begin=nothing, send=nothing, receive=receive, end=nothing, exit_code=-9)

        def refuse(*_: object) -> Any:
            monkeypatch.setattr(java.JavaBuilder, "_jvm", jvm)
            next(left)
            raise BlockingIOError

        monkeypatch.setattr(java, "had_room", lambda *_: True)
        monkeypatch.setattr(java.JavaBuilder, "_jvm", refuse if isinstance(ends[0], BlockingIOError) else jvm)
        nothing: Any = None
        result = java.JavaBuilder(nothing, nothing, nothing, "")._compile({"Main.java": ""}, [])
        assert list(left) == []
        return result

    return answered


def test_a_javac_that_the_machine_stops_is_tried_again_and_twice_says_nothing_of_the_text(answered):
    for first in (PeerHangs(), PeerEnded(), BlockingIOError()):
        assert answered(first, b"Kclasses") == b"classes"
    with pytest.raises(CompilerLost, match="javac was killed, hung or found no room, 2 times"):
        answered(PeerHangs(), PeerEnded())


def test_a_javac_that_has_used_its_cpu_time_is_the_texts_doing(answered):
    with pytest.raises(CompileError, match="s of CPU time"):
        answered(PeerSlow())


@pytest.fixture
def started() -> Iterator[Callable[[str], Peer]]:
    """Return a function that starts a Python text as a peer."""
    made: list[Peer] = []

    def started(text: str) -> Peer:
        layers: Any = SimpleNamespace(apply=lambda pid: None)
        command = [sys.executable, "-S", "-c", text]
        made.append(Peer(layers, lambda: os.execv(sys.executable, command), resource.RLIM_INFINITY))
        made[-1].begin()
        return made[-1]

    yield started
    for peer in made:
        peer.end()


@pytest.mark.slow
def test_a_peer_that_sleeps_hangs_and_one_that_works_is_slow(started, monkeypatch):
    monkeypatch.setattr(peers, "WALL_FACTOR", 0.01)
    with pytest.raises(PeerHangs):
        started("import time; time.sleep(3600)").receive(50.0)
    monkeypatch.setattr(peers, "WALL_FACTOR", 1e6)
    with pytest.raises(PeerSlow):
        started("while True: pass").receive(0.2)


def test_tests_that_hang_are_asked_again():
    def receive(seconds: float) -> bytes:
        raise PeerHangs

    nothing: Any = SimpleNamespace(receive=receive)
    assert ask(nothing, nothing, Board(), 1.0) == TESTS_ENDED


@pytest.fixture
def judging() -> Iterator[tuple[judge.CompiledJudge, socket.socket]]:
    """Return a judge, and the launcher's end of its socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    nothing: Any = None
    with ours, theirs:
        yield judge.CompiledJudge("cpp", nothing, ours, Board(), 1.0, outside=False), theirs


def test_a_launcher_that_is_gone_ends_the_judge_so_that_the_program_is_judged_in_another_slot(judging):
    asked, launcher = judging
    launcher.close()
    for call in (lambda: asked._run(ITEM, PROGRAM, None), lambda: asked._machine_had_room(1, 1)):
        with pytest.raises(EOFError):
            call()


@pytest.mark.parametrize("failures", [1, 2])
def test_a_program_or_tests_that_find_no_room_are_run_again(judging, monkeypatch, failures):
    asked, _ = judging
    tries = iter([BlockingIOError(11, "no more")] * failures)

    def run_once(*_: object) -> judge.Ran:
        for error in tries:
            raise error
        return judge.Ran((Outcome.PASSED, ""), End(None, 0, 0.1, False), True)

    monkeypatch.setattr(asked, "_run_once", run_once)
    monkeypatch.setattr(asked, "_machine_had_room", lambda *_: True)
    judged = asked._run(ITEM, PROGRAM, None)
    expected = (Outcome.PASSED, "") if failures == 1 else (Outcome.HARNESS_ERROR, "it could not be run: no more")
    assert (judged.outcome, judged.detail) == expected


def test_a_fork_that_finds_no_room_leaves_no_file_and_no_descriptor(monkeypatch):
    def refuse(start: object) -> int:
        raise BlockingIOError(11, "no more")

    renewed: list[str] = []
    box: Any = SimpleNamespace(renew_streams=lambda: None, renew_folder=lambda: renewed.append("folder"))
    reading, writing = os.pipe()
    monkeypatch.setattr(forks, "with_room", refuse)
    nothing: Any = None
    with pytest.raises(forks.NotForked, match="no more"):
        forks.Forks(Layers(""), box).run(nothing, [writing], nothing, 0, 0.0, nothing, nothing)
    assert renewed == ["folder"]
    assert os.read(reading, 1) == b""
    os.close(reading)


@pytest.mark.parametrize(
    ("language", "level", "outcome"),
    [
        ("cpp", Level.FILTERED, Outcome.HARNESS_ERROR),
        ("cpp", Level.PARTIAL, Outcome.KILLED),
        ("python", Level.STRONG, Outcome.KILLED),
    ],
)
def test_a_slot_that_is_lost_twice_is_a_programs_doing_only_where_it_could_reach_it(language, level, outcome):
    lost = Stream([], DEFAULT_SANDBOX, [], lambda: None)
    lost._keys[7], lost._requests[7] = "key", Request(7, Program("", "", language), Limits(), Oracle.INSIDE)
    slot: Any = SimpleNamespace(current=SimpleNamespace(level=level))
    for _ in range(2):
        lost._retry(slot, {7}, SlotLost("it ended with signal 9"))
    ((_, verdict),) = lost._finished
    told = "it ended its slot 2 times; the last time it ended with signal 9"
    assert (verdict.outcome, verdict.detail, verdict.level) == (outcome, told, level)


def test_memory_that_no_machine_grants_is_refused_before_work():
    needs("cpp")
    program = Program("int f() { return 1; }", "#include <cassert>\nint main() { assert(f() == 1); }", "cpp")
    with Executor() as executor:
        with pytest.raises(UsageError, match="memory_mib is 2,147,483,647, and this machine grants a process at most"):
            executor.run([program], Limits(memory_mib=2**31 - 1))
        assert executor._slots[0].running == []


def test_what_a_machine_grants_is_what_a_new_process_gets():
    code = (
        "import mmap, resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); big = mmap.mmap(-1, 2**29); "
        "from raysweep.execution.isolation.capacity import granted_mib; print(granted_mib(700), granted_mib(2048))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    less, more = map(int, said.split())
    assert less == 700 and 700 < more < 1024
    assert capacity.granted_mib(1) == 1
