"""A slot's own processes wait, too, where the machine has no room for another one."""

from __future__ import annotations

import errno

import pytest

from raysweep.execution import slot
from raysweep.execution.isolation import room
from raysweep.execution.pool import Executor
from raysweep.programs import Lane, Level, Limits, Outcome, Program, Sandbox

pytestmark = pytest.mark.slow

SCARCE = """
import sys; sys.path.append(sys.argv.pop(1))
import os
from raysweep.execution.isolation import kernel, room
room.PAUSE_SECONDS = 0.001

def scarce(fork):
    calls = []
    def refused():
        calls.append(0)
        if len(calls) % 3:
            raise BlockingIOError(11, "no room")
        return fork()
    return refused

os.fork, kernel.fork = scarce(os.fork), scarce(kernel.fork)
from {} import main; main()
"""
"""Starts a slot in which two of three forks fail."""


@pytest.mark.parametrize("lane", list(Lane))
def test_forks_that_fail_for_want_of_room_are_tried_again(lane, monkeypatch):
    monkeypatch.setattr(slot, "_START_CODE", SCARCE)
    monkeypatch.setattr(slot, "STARTS", 1)
    programs = [Program(f"def f():\n    return {n}", f"assert f() == {n}") for n in range(5)]
    with Executor(1, Sandbox(lane, Level.LIMITS), ("namespaces", "landlock", "seccomp")) as executor:
        assert {verdict.outcome for verdict in executor.run(programs, Limits())} == {Outcome.PASSED}


def test_waiting_ends_and_other_errors_are_not_waited_for(monkeypatch):
    calls: list[int] = []

    def fails(number: int) -> None:
        calls.append(number)
        raise OSError(number, "it failed")

    monkeypatch.setattr(room, "PAUSE_SECONDS", 0.0)
    with pytest.raises(BlockingIOError):
        room.with_room(lambda: fails(errno.EAGAIN), 0.01)
    assert len(calls) > 1
    calls.clear()
    with pytest.raises(PermissionError):
        room.with_room(lambda: fails(errno.EACCES), 60)
    assert len(calls) == 1
