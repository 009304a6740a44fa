"""Starts the processes of a slot for Java or C++, each isolated before it does anything else.

slot.py runs it in a clean interpreter, as it does with python/start.py. It becomes the keeper. Its forks are a judge,
in namespaces of its own, below which compilers and tests run behind layers of their own, and a launcher, the first
process of the programs' namespaces. The folder has three parts: what is prepared before any isolation, and
the places of the boxes of compiler and programs, over which each mounts its own disk.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from raysweep.execution.board import Board
from raysweep.execution.compiled.builders import Builder
from raysweep.execution.compiled.cpp import builder as cpp
from raysweep.execution.compiled.cpp import headers
from raysweep.execution.compiled.java import builder as java
from raysweep.execution.compiled.java.sources import INSIDE_MAIN, SERVER_MAIN
from raysweep.execution.compiled.judge import CompiledJudge
from raysweep.execution.compiled.launcher import Command, CompiledLauncher, jvm_command
from raysweep.execution.compiled.toolchains import LOCALES, Toolchain
from raysweep.execution.endings import close_others, tell_end
from raysweep.execution.isolation import kernel
from raysweep.execution.isolation.cleanup import remove_folder
from raysweep.execution.isolation.keeper import Keeper
from raysweep.execution.isolation.layers import (
    Access,
    Layers,
    enter_namespaces,
    handle_signals,
    prepare_filters,
    verify,
)
from raysweep.execution.isolation.process_tree import kill_descendants, own_marker
from raysweep.execution.isolation.room import with_room
from raysweep.execution.isolation.seccomp import Starts
from raysweep.execution.messages import write_frame
from raysweep.execution.python.forks import CONTROL, Mount, isolated, move_descriptors, move_rules
from raysweep.execution.python.lanes import ANSWERS, REQUESTS
from raysweep.programs import CPP, JAVA, Level

RULES_OF_TESTS = 14  # descriptor
_MESSAGE_BYTES = 2**16
_NO_EXEC = "without Landlock it can't tell a JVM's first execve from a later one"
_IN_MEMORY = Access(("/usr/share/zoneinfo", LOCALES), (), Starts.MEMORY)


class _Setup(NamedTuple):
    settings: dict[str, Any]  # what the slot sent
    chain: Toolchain
    prepared: str  # the folder of what is compiled before any isolation
    board: Board


def main() -> None:
    folder, settings = sys.argv[1], json.loads(sys.argv[2])
    chain = Toolchain(*settings["toolchain"])
    owner = os.getppid()
    handle_signals()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # so that no process of this user can read the memory of any of these
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)  # what g++ has started becomes a child of this process without it
    for name in ("prepared", "compiler", "programs"):
        Path(folder, name).mkdir(exist_ok=True)
    prepared = f"{folder}/prepared"
    if chain.language == CPP:
        prepared = headers.prepare(settings["cache"], prepared, chain, library=settings["library"])
    else:
        java.prepare(Path(prepared), chain)
    setup = _Setup(settings, chain, prepared, Board())
    judges, launchers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    judge = with_room(os.fork)
    if judge == 0:
        launchers.close()
        _enter_and_judge(f"{folder}/compiler", setup, judges)
    judges.close()
    layers = Layers(box=f"{folder}/programs/box")
    try:
        mount = enter_namespaces(layers, f"{folder}/programs", settings["without"])
    except OSError as error:
        launchers.sendall(json.dumps({"no_namespaces": str(error)}).encode())
        mount = None
    programs = with_room(os.fork)
    if programs == 0:
        _run_programs(layers, f"{folder}/programs", setup, mount, launchers)
    launchers.close()
    code = Keeper(programs, judge, owner, setup.board).run()
    with suppress(TimeoutError):
        kill_descendants()
    remove_folder(folder)
    os._exit(code)


def _enter_and_judge(folder: str, setup: _Setup, control: socket.socket) -> NoReturn:
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    layers = Layers(box=f"{folder}/box")
    try:
        mount = enter_namespaces(layers, folder, setup.settings["without"])
    except OSError as error:
        write_frame(1, {"no_namespaces": str(error)})
        os._exit(0)
    judge = with_room(os.fork)
    if judge == 0:
        _run_judge(layers, folder, setup, mount, control)
    close_others(0)
    tell_end("the process of the tests", os.waitpid(judge, 0)[1])
    os._exit(0)


def _run_judge(layers: Layers, folder: str, setup: _Setup, mount: Mount, control: socket.socket) -> NoReturn:
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    settings, chain, prepared, board = setup
    move_descriptors(control)
    control = socket.socket(fileno=CONTROL)
    is_java = chain.language == JAVA
    starts = Starts.PATHS if is_java else Starts.PATHS | Starts.PROCESSES
    compiler = Access([*chain.readable, prepared], chain.executable, starts, chain.listable)

    def refused(reason: str) -> None:
        write_frame(ANSWERS, {"no_namespaces": reason})

    forks = isolated(layers, folder, settings, mount, refused, compiler)
    for_tests = Layers("", layers.own_disk, layers.read_only, namespaces=layers.namespaces)
    prepare_filters(for_tests, [], [], settings["without"], access=compiler if is_java else _IN_MEMORY)
    move_rules(for_tests, RULES_OF_TESTS)
    verify(for_tests, os.path.realpath(sys.executable))
    builder: Builder
    if chain.language == CPP:
        builder = cpp.CppBuilder(forks, for_tests, chain, prepared, REQUESTS)
    else:
        builder = java.JavaBuilder(layers, for_tests, chain, prepared)
    if isinstance(builder, cpp.CppBuilder) and (reason := builder.refusal_of_all()):
        unusable = (
            f"g++ ({chain.program}) makes programs on this machine, but none where it is isolated: {reason}; there it "
            "may read its own folders, and start its own programs, as and ld; put another g++ first on the path"
        )
        write_frame(ANSWERS, {"unusable": unusable})
        os._exit(0)
    started = json.loads(control.recv(_MESSAGE_BYTES) or b"{}")
    if "no_namespaces" in started or not started:
        write_frame(ANSWERS, started or {"no_namespaces": "the launcher has ended"})
        os._exit(0)
    level = min(layers.level, for_tests.level, Level(started["level"]))
    write_frame(ANSWERS, {"level": level, "missing": layers.missing | for_tests.missing | started["missing"]})
    seconds, outside = settings["judge_seconds"], settings["oracle"] == "outside"
    with suppress(EOFError, BrokenPipeError):
        CompiledJudge(chain.language, builder, control, board, seconds, outside=outside).serve()
    os._exit(0)


def _run_programs(layers: Layers, folder: str, setup: _Setup, mount: Mount, control: socket.socket) -> NoReturn:
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    settings, chain, prepared, board = setup
    move_descriptors(control)
    control = socket.socket(fileno=CONTROL)
    os.close(REQUESTS)
    os.close(ANSWERS)

    def refused(reason: str) -> None:
        control.sendall(json.dumps({"no_namespaces": reason}).encode())

    if chain.language == CPP:
        access, command = _IN_MEMORY, Command("", lambda memory: ["program"])
    else:
        access = Access([*chain.readable, prepared], chain.executable, Starts.PATHS)
        main = SERVER_MAIN if settings["oracle"] == "outside" else INSIDE_MAIN
        command = jvm_command(chain.program, layers.box, java.class_path(prepared, layers.box), main)
    forks = isolated(layers, folder, settings, mount, refused, access)
    if chain.language == JAVA and "landlock" in layers.missing and layers.filter is not None:
        layers.filter, layers.missing["seccomp"] = None, _NO_EXEC
    control.sendall(json.dumps({"level": layers.level, "missing": layers.missing}).encode())
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": layers.box, "TMPDIR": layers.box}
    environment |= {"MALLOC_ARENA_MAX": "1"} | own_marker()
    with suppress(EOFError, BrokenPipeError):
        CompiledLauncher(forks, control, board, command, environment).serve()
    os._exit(0)
