"""Starts processes that exchange frames with the judge: the tests of a problem, or a warm compiler.

A frame is its length, four bytes (big-endian), and so many bytes.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from raysweep.execution.isolation import kernel
from raysweep.execution.isolation.layers import Layers, lower_limit
from raysweep.execution.isolation.room import with_room
from raysweep.execution.isolation.watch import own_cpu_seconds

MAX_FRAME = 16 * 2**20
CHECK_SECONDS = 0.25  # between two checks of a peer's time
WALL_FACTOR = 20.0  # a process that takes so many times its limit of CPU time, by the clock, hangs
_LENGTH = struct.Struct(">I")


class PeerEnded(Exception):
    """The other side has closed its socket."""


class NoFrame(Exception):
    """The other side has sent something that is no frame. The text of the error says what."""


class PeerSlow(Exception):
    """A peer needed more CPU time since `begin` than it may."""


class PeerHangs(Exception):
    """A peer has said nothing for WALL_FACTOR times its CPU time, and hasn't used it: the machine lets it not work."""


def send_frame(channel: socket.socket, data: bytes) -> None:
    try:
        channel.sendall(_LENGTH.pack(len(data)) + data)
    except OSError as error:
        raise PeerEnded(str(error)) from error


def read_frame(channel: socket.socket, most: int = MAX_FRAME) -> bytes:
    """Wait for one frame of at most so many bytes; raise PeerEnded or NoFrame if there comes none."""
    (size,) = _LENGTH.unpack(_read(channel, _LENGTH.size))
    if not 0 < size <= most:
        raise NoFrame(f"a frame of {size:,} bytes")
    return bytes(_read(channel, size))


def has_data(channel: socket.socket) -> bool:
    return bool(select.select([channel], [], [], 0)[0])


class Peer:
    """A process behind layers, with a socket as its stdin and stdout.

    `layers`: applied before `start` is called, in the process, with `file` as descriptor 3; it must replace it by a
    program. `memory`: its limit of address space in bytes.
    """

    def __init__(self, layers: Layers, start: Callable[[], NoReturn], memory: int, file: int | None = None) -> None:
        self._channel, theirs = socket.socketpair()
        self._pid = with_room(kernel.fork)
        if self._pid == 0:
            _become(layers, start, memory, theirs, file)
        theirs.close()
        self._cpu_before = 0.0
        self.is_idle = False  # it has ended what it was asked for, and can be asked again
        self.exit_code: int | None = None  # once it was ended: its own, or the signal that killed it, below 0

    def begin(self) -> None:
        self.is_idle = False
        self._cpu_before = own_cpu_seconds(self._pid)

    def send(self, data: bytes) -> None:
        send_frame(self._channel, data)

    def receive(self, seconds: float) -> bytes:
        """Wait for a frame; raise PeerEnded, PeerSlow or PeerHangs. `seconds`: of CPU time that it may use."""
        until = time.monotonic() + WALL_FACTOR * seconds
        while not select.select([self._channel], [], [], CHECK_SECONDS)[0]:
            if own_cpu_seconds(self._pid) - self._cpu_before > seconds:
                raise PeerSlow
            if time.monotonic() > until:
                raise PeerHangs
        return read_frame(self._channel)

    def end(self) -> None:
        """Kill it, unless it has ended by itself, and wait for its end."""
        self._channel.close()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            self.exit_code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _become(
    layers: Layers, start: Callable[[], NoReturn], memory: int, channel: socket.socket, file: int | None
) -> NoReturn:
    try:
        number = channel.detach()
        os.dup2(number, 0)
        os.dup2(number, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        if file is not None:
            os.dup2(file, 3)
        lower_limit(resource.RLIMIT_AS, memory)
        layers.apply(os.getpid())
        os.closerange(4 if file is not None else 3, 256)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        start()
    finally:
        os._exit(127)


def _read(channel: socket.socket, size: int) -> bytearray:
    data = bytearray()
    while len(data) < size:
        try:
            more = channel.recv(min(size - len(data), 2**20))
        except OSError as error:
            raise PeerEnded(str(error)) from error
        if not more:
            raise PeerEnded
        data += more
    return data
