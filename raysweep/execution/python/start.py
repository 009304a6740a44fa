"""Starts a slot's processes, each isolated before it does anything else.

slot.py runs it in a clean interpreter as ``python -s -S -B -c ... FOLDER SETTINGS``, without -S for unittest cases. It
becomes the keeper, which ends the others when the slot's owner is gone or a judge works too long, and removes the
folder. Its forks are, for tests outside the program's process, a judge and a launcher that forks the programs
(outside/); for tests inside it, a zygote that does both (in_process/).
"""

from __future__ import annotations

import _sitebuiltins
import builtins
import gc
import importlib
import importlib.util
import json
import os
import random
import resource
import signal
import socket
import sys
import types
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from raysweep.execution.board import Board
from raysweep.execution.isolation import kernel
from raysweep.execution.isolation.cleanup import remove_folder
from raysweep.execution.isolation.keeper import Keeper
from raysweep.execution.isolation.layers import (
    Layers,
    enter_judges_namespaces,
    enter_namespaces,
    handle_signals,
    limit_resources,
    lower_limit,
    prepare_filters,
)
from raysweep.execution.isolation.room import with_room
from raysweep.execution.messages import write_frame
from raysweep.execution.python.forks import CONTROL, Forks, Mount, address_space, isolated, move_descriptors
from raysweep.execution.python.in_process.access import access as cases_access
from raysweep.execution.python.lanes import ANSWERS, REQUESTS
from raysweep.execution.python.outside.ahead import Ahead

JUDGE_MEMORY = 2**30  # bytes of address space that a judge may take for tests and answers
PRELOADED = """
    math cmath re typing collections itertools functools heapq bisect string operator copy fractions numbers
    datetime random json decimal statistics time io textwrap enum contextlib abc ctypes
"""
PACKAGE = "raysweep.execution.python"
Serve = Callable[[], NoReturn]
_CANDIDATES_MODULES = (
    "outcomes", "harmless", "libraries", "screen", "processes", "outside.codec", "outside.plain", "outside.numpy_kinds",
    "outside.kinds", "outside.changes", "outside.candidate",
)  # fmt: skip
"""In the order of their imports: a module that is loaded takes those that were loaded before it."""
_IN_PROCESS_MODULES = ("outcomes", "harmless", "screen", "processes", "in_process.child")


def main() -> None:
    folder, settings = sys.argv[1], json.loads(sys.argv[2])
    owner = os.getppid()
    handle_signals()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # so that no process of this user can read the memory of any of these
    board, ahead = Board(), Ahead()
    judges = launchers = judge = None
    if settings["oracle"] == "outside":
        judges, launchers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        judge = with_room(os.fork)
        if judge == 0:
            _run_judge(judges, board, ahead, settings)
        judges.close()
    layers = Layers(box=f"{folder}/box")
    try:
        mount = enter_namespaces(layers, folder, settings["without"])
    except OSError as error:
        write_frame(1, {"no_namespaces": str(error)})
        os._exit(0)
    programs = with_room(os.fork)
    if programs == 0:
        _run_programs(layers, folder, settings, mount, launchers, board, ahead)
    if launchers is not None:
        launchers.close()
    code = Keeper(programs, judge, owner, board).run()
    remove_folder(folder)  # with namespaces it is empty: no command is needed, and none could be started
    os._exit(code)


def _run_judge(control: socket.socket, board: Board, ahead: Ahead, settings: dict[str, Any]) -> NoReturn:
    """Isolate this process, which no program ever enters, and judge programs in it."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    move_descriptors(control)
    layers = Layers(box="")
    enter_judges_namespaces(settings["without"])
    limit_resources()
    prepare_filters(layers, [], settings["packages"], settings["without"], judge=True)
    _import_modules(settings["packages"])
    from raysweep.execution.python.outside.judge import Judge

    judge = Judge(socket.socket(fileno=CONTROL), board, ahead, settings["judge_seconds"])
    lower_limit(resource.RLIMIT_AS, address_space() + JUDGE_MEMORY)
    kernel.drop_capabilities()
    layers.apply(os.getpid())
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):  # tests may print
        os.dup2(nothing, stream)
    with suppress(EOFError, BrokenPipeError):
        judge.serve()
    os._exit(0)


def _run_programs(
    layers: Layers,
    folder: str,
    settings: dict[str, Any],
    mount: Mount,
    control: socket.socket | None,
    board: Board,
    ahead: Ahead,
) -> NoReturn:
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    move_descriptors(control)
    # Before the mounts, which cover raysweep where it is an installed package.
    _import_modules([])
    access = cases_access(settings["prefixes"], sys.executable) if settings["cases"] else None
    start_serving = _load_launcher(board, ahead) if control is not None else _load_zygote(settings["cases"])

    def refused(reason: str) -> None:
        write_frame(ANSWERS, {"no_namespaces": reason})

    forks = isolated(layers, folder, settings, mount, refused, access)
    serve = start_serving(forks)
    _hide_raysweep(settings["packages"])
    if settings["cases"]:
        _import_for_cases(forks, settings["imports"])
    if settings["imports"] and len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208  # a fork would lack the others
        write_frame(ANSWERS, {"unshared": "an import starts threads"})
        os._exit(0)
    gc.collect()
    gc.disable()
    write_frame(ANSWERS, {"level": layers.level, "missing": layers.missing})
    with suppress(EOFError, BrokenPipeError):
        serve()
    os._exit(0)


def _load_launcher(board: Board, ahead: Ahead) -> Callable[[Forks], Serve]:
    from raysweep.execution.python.outside.launcher import Launcher

    os.close(REQUESTS)
    modules = {name: _load_with_own_builtins(f"{PACKAGE}.{name}") for name in _CANDIDATES_MODULES}
    candidate = modules["outside.candidate"]
    candidate.rehearse()
    return lambda forks: Launcher(forks, socket.socket(fileno=CONTROL), board, ahead, candidate.serve).serve


def _load_zygote(has_cases: bool) -> Callable[[Forks], Serve]:
    from raysweep.execution.python.in_process.zygote import Zygote

    child = [_load_with_own_builtins(f"{PACKAGE}.{name}") for name in _IN_PROCESS_MODULES][-1]
    return lambda forks: Zygote(forks, child, has_cases).serve


def _import_for_cases(forks: Forks, names: list[str]) -> None:
    """Import numpy, whose random numbers each program gets anew, and what the problem's own code imports.

    The address space that the latter take counts for programs, as if they had imported them.
    """
    forks.prepare(numpy=True)
    for name in names:
        with suppress(Exception, SystemExit):  # programs that import it will raise the same
            importlib.import_module(name)
    forks.box.renew_folder()
    forks.layers.ignore_signals()


def _import_modules(packages: list[str]) -> None:
    for name in PRELOADED.split():
        importlib.import_module(name)
    random.seed(0)
    for name in ("exit", "quit"):  # which `site` would define
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    warnings.simplefilter("ignore", SyntaxWarning)
    sys.path += packages


def _load_with_own_builtins(name: str) -> types.ModuleType:
    """Load a module with its own copy of the built-in functions, since programs can change the interpreter's."""
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    vars(module)["__builtins__"] = dict(vars(builtins))
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _hide_raysweep(packages: list[str]) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "raysweep"]:
        del sys.modules[name]
    sys.modules["__main__"] = types.ModuleType("__main__")
    for folder in [folder for folder in sys.path if os.path.exists(f"{folder}/raysweep")]:  # noqa: PTH110
        sys.path.remove(folder)
        sys.path_importer_cache.pop(folder, None)
    sys.path += packages
    sys.argv[:] = [""]
