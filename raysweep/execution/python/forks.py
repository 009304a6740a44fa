"""Forks a process for programs behind the layers of isolation, watches it, and removes everything that it left."""

from __future__ import annotations

import gc
import importlib
import math
import mmap
import os
import resource
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from raysweep.execution.endings import close_others
from raysweep.execution.isolation import kernel
from raysweep.execution.isolation.box import Box
from raysweep.execution.isolation.layers import (
    BOX_MIB,
    FILE_MIB,
    Access,
    Layers,
    enter_own_network,
    limit_resources,
    lower_limit,
    prepare_filters,
    verify,
)
from raysweep.execution.isolation.room import with_room
from raysweep.execution.isolation.seccomp import Starts
from raysweep.execution.isolation.watch import ProcessEnd, Watch
from raysweep.execution.python.lanes import ANSWERS, REQUESTS

CONTROL, RULES = 12, 13  # descriptors: the socket between judge and launcher, and Landlock's rules
CHANNEL = 3  # descriptor on which a fork talks to its judge; the others of a program are 0, 1 and 2
_TICKS = 4
"""The kernel's limit of CPU time is so many times a program's own, which the watch keeps: it counts a whole tick of its
clock for whoever runs at the tick, so beside other processes it ends a program that has used less than the limit."""


Mount = Callable[[list[str]], None] | None


class NotForked(OSError):
    """The machine had no room for another process, also after some waiting."""


class Forks:
    """Forks this process, which has imported what programs need, for programs of one slot."""

    def __init__(self, layers: Layers, box: Box) -> None:
        self.layers, self.box = layers, box
        self._own_size = 0  # bytes of address space of this process, added to each program's limit
        self._kills = _out_of_memory_kills()
        self._refusal = mmap.mmap(-1, mmap.PAGESIZE)  # where a fork writes why no program runs in it

    def prepare(self, numpy: bool) -> None:
        if numpy and "numpy" not in sys.modules:
            with suppress(Exception):  # programs that import it will raise the same
                importlib.import_module("numpy").random.seed(0)
        self._own_size = address_space()

    def run(
        self,
        run: Callable[[], None],
        descriptors: Sequence[int],
        memory: int,
        cpu_seconds: float,
        watch: Callable[[int], Watch],
        limits: Callable[[int], tuple[float, float]],
        collect: Callable[[], None] = lambda: None,
    ) -> ProcessEnd:
        """Run a function in a fork and wait for its end; then kill and remove everything that it left.

        `run`: called in the fork; must end the process. `descriptors`: what the fork gets as CHANNEL and the numbers
        after it, in ascending order; closed here. `memory`: limit in bytes, beyond what this process uses.
        `cpu_seconds`: limit of CPU time, which the kernel enforces only where the watch doesn't, see `_TICKS`. `watch`:
        returns the watch of a process. `limits`: see `Watch.wait`. `collect`: called when its processes have ended,
        while its folder is still there.

        Raises:
            NotForked: of what was to run nothing is left.
        """
        self.box.renew_streams()
        self.layers.numbers.begin_again()
        gc.freeze()  # so that garbage collection in the fork doesn't copy the memory pages of existing objects
        try:
            pid = with_room(kernel.fork)
        except OSError as error:
            _close(descriptors)
            self.box.renew_folder()
            raise NotForked(error.errno, error.strerror) from error
        if pid == 0:
            self._run_in_fork(run, descriptors, memory + self._own_size, _TICKS * math.ceil(cpu_seconds))
        _close(descriptors)
        try:
            end = watch(pid).wait(limits)
        finally:
            self.box.kill_processes()
        collect()
        self.box.renew_folder()
        refusal = self._refusal[:].rstrip(b"\0")
        self._refusal[: len(refusal)] = bytes(len(refusal))
        return end._replace(refusal=refusal.decode("utf-8", "replace"))

    def was_short_of_memory(self) -> bool:
        """Return True if the kernel has killed a process for want of memory since the last call."""
        before, self._kills = self._kills, _out_of_memory_kills()
        return self._kills != before

    def _run_in_fork(
        self,
        run: Callable[[], None],
        descriptors: Sequence[int],
        memory: int,
        cpu_seconds: int,
    ) -> NoReturn:
        try:
            try:
                for number, descriptor in enumerate(descriptors, CHANNEL):
                    os.dup2(descriptor, number)
                lower_limit(resource.RLIMIT_CPU, cpu_seconds)
                lower_limit(resource.RLIMIT_AS, memory)
                if self.layers.has_loopback:
                    enter_own_network()
                self.layers.apply(os.getpid())
                os.closerange(CHANNEL + len(descriptors), 256)
            except BaseException as error:  # not the program's fault, since it never ran
                self._refusal.write((str(error) or type(error).__name__).encode()[: mmap.PAGESIZE])
                os._exit(1)
            self._refusal.close()  # no program can write there
            run()
        finally:
            os._exit(127)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _out_of_memory_kills() -> str:
    try:
        with open("/proc/vmstat") as file:  # noqa: PTH123
            return next((line for line in file if line.startswith("oom_kill ")), "")
    except OSError:
        return ""


def address_space() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * resource.getpagesize()


def move_descriptors(control: socket.socket | None) -> None:
    """Move pipes and socket to higher descriptors, away from a program's; open /dev/null as 0, close the others."""
    os.dup2(0, REQUESTS)
    os.dup2(1, ANSWERS)
    if control is not None:
        os.dup2(control.detach(), CONTROL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    close_others((ANSWERS if control is None else CONTROL) + 1)
    os.closerange(3, REQUESTS)


def move_rules(layers: Layers, descriptor: int) -> None:
    if layers.rules is not None:
        os.dup2(layers.rules, descriptor)
        os.close(layers.rules)
        layers.rules = descriptor


def isolated(
    layers: Layers,
    folder: str,
    settings: Mapping[str, Any],
    mount: Mount,
    refused: Callable[[str], None],
    access: Access | None = None,
) -> Forks:
    """Isolate this process, and return what forks it.

    Where its namespaces can't be used, call `refused` with the reason, and end it. `settings`: those of the slot.
    `mount`: of `enter_namespaces`. `access`: see `prepare_filters`.
    """
    packages = settings["packages"]
    try:
        if mount is not None:
            mount(packages)
    except OSError as error:
        refused(str(error))
        os._exit(0)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    is_script = access is not None and Starts.SCRIPTS in access.starts
    limit_resources(BOX_MIB if is_script else FILE_MIB)
    os.makedirs(layers.box, exist_ok=True)  # noqa: PTH103
    # A disk is mounted anew for each program, so the rule names the folder around it. A plain box must stay there.
    writable = [folder if layers.own_disk else layers.box]
    prepare_filters(layers, writable, packages, settings["without"], access=access)
    move_rules(layers, RULES)
    forks = Forks(layers, Box(layers))
    verify(layers, _unallowed_file() if is_script else os.path.realpath(sys.executable))
    return forks


def _unallowed_file() -> str:
    """Return a file that scripts may not read, though this process may: its own executable is one that they start."""
    files = (f"{Path(__file__).parents[1]}/__init__.py", "/etc/hostname", "/etc/os-release")
    return next((file for file in files if os.access(file, os.R_OK)), os.path.realpath(sys.executable))
