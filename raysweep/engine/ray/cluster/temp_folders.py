"""The folders of a Ray that raysweep starts: where they lie, and those that killed processes left.

One holds Ray's sockets and logs. It lies in $RAY_TMPDIR, or else in /tmp. The other one is made if a config names a
folder for spilled objects (`ray.spill_folder`). Both are named after this machine and process, and end with the Ray.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import socket
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from raysweep.errors import UsageError
from raysweep.units import count

VARIABLE = "RAY_TMPDIR"
DEFAULT = Path("/tmp")
PREFIX = "rs-"
SOCKET = "session_2026-01-01_00-00-00_000000_1234567/sockets/dash_TaskEventsHead"
"""The longest path that Ray puts a socket at, below its folder."""
LONGEST = 107
"""Bytes of a socket's path, which the system limits."""
SHORT, LONG = 4, 16
"""Digits that tell machines apart, in the names of folders of sockets, whose paths are short, and of others."""
ALIVE = "alive"
"""A file in each folder, which its process touches: other machines can't look the process up."""
BEAT_SECONDS = 60.0
"""Between two touches."""
SILENT_SECONDS = 86_400.0
"""A process of another machine is taken for dead after so long without a touch, however their clocks differ."""
_NUMBERS = itertools.count()


def sockets_root() -> tuple[Path, str]:
    """Return where Ray's folder is made, and why that is not in $RAY_TMPDIR; empty if it is, or if that isn't set."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return DEFAULT, ""
    root = Path(wanted).absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)  # as Ray does
        reason = why_no_sockets(root)
    except OSError as error:
        reason = error.strerror or str(error)
    if not reason:
        return root, ""
    return DEFAULT, f"{VARIABLE} {wanted} can't hold Ray's sockets ({reason}); Ray's folder is in {DEFAULT}"


def why_no_sockets(root: Path) -> str:
    """Try a socket below a folder, as deep as Ray makes some; return why that fails, or an empty text."""
    most = LONGEST - len(f"/{PREFIX}{os.getpid()}-abcd0/{SOCKET}")
    if (length := len(os.fsencode(root))) > most:
        return f"its path has {count(length, 'byte')}, and Ray's sockets leave {most} for it"
    try:
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=root) as below, socket.socket(socket.AF_UNIX) as made:
            place = Path(below, SOCKET)
            place.parent.mkdir(parents=True)
            made.bind(str(place))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def spill_root(folder: str | None) -> Path | None:
    """Return where folders of spilled objects are made; raise UsageError if nothing can be written there."""
    if folder is None:
        return None
    root = Path(folder).expanduser()
    try:
        there = next(place for place in (root, *root.parents) if place.exists())
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(
            f"ray.spill_folder: {folder!r} can't be written ({reason}); name one on a disk with room, or leave it out"
        ) from None
    return root


def make_folder(root: Path, digits: int = SHORT) -> Path:
    """Make a folder of a new name, and touch a file in it until it is removed. `digits`: see `remove_stale`."""
    for number in _NUMBERS:
        folder = root / f"{PREFIX}{os.getpid()}-{_machine()[:digits]}{number or ''}"
        try:
            folder.mkdir(mode=0o700, parents=True)
        except FileExistsError:  # of a killed process with the same number
            continue
        (folder / ALIVE).touch()
        threading.Thread(target=_beat, args=(folder / ALIVE,), name=f"alive {folder}", daemon=True).start()
        return folder
    raise AssertionError("numbers don't end")


def _beat(alive: Path) -> None:
    while True:
        time.sleep(BEAT_SECONDS)
        try:
            os.utime(alive)
        except FileNotFoundError:
            return
        except OSError:  # such as of a shared disk that is out of reach for a while
            continue


def remove_stale(root: Path, digits: int = SHORT) -> None:
    """Remove the folders of killed processes: of this machine at once, of others after a day's silence.

    `digits`: so many digits in the folders' names tell machines apart.
    """
    for folder in root.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # another process removes it, too; or it shows no life yet
            if folder.stat().st_uid == os.getuid() and _is_stale(folder, digits):
                shutil.rmtree(folder, ignore_errors=True)


def _is_stale(folder: Path, digits: int) -> bool:
    pid, _, machine = folder.name.removeprefix(PREFIX).partition("-")
    if machine.startswith(_machine()[:digits]):
        return pid.isdigit() and not Path("/proc", pid).exists()
    return time.time() - (folder / ALIVE).stat().st_mtime > SILENT_SECONDS


@cache
def _machine() -> str:
    """Return digits that differ between machines, and between containers that number their own processes."""
    namespace = Path("/proc/self/ns/pid")
    named = f"{socket.gethostname()} {namespace.stat().st_ino if namespace.exists() else ''}"
    return hashlib.sha256(named.encode()).hexdigest()[:LONG]
