"""System calls that Python has no functions for, made through ctypes. Each raises OSError with the call's name.

Tests and programs never see this module.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import struct
from contextlib import suppress
from functools import cache

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x0002_0000, 0x0400_0000, 0x0800_0000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x1000_0000, 0x2000_0000, 0x4000_0000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 4096, 2**14, 2**18
MNT_DETACH = 2
MACHINE = platform.machine()
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_CAPSET = {"x86_64": 126, "aarch64": 91}
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC_WITH_GIL = ctypes.PyDLL(None, use_errno=True)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


_NO_CAPABILITIES = (ctypes.c_uint32 * 6)()
_CAPABILITY_HEADER = _CapabilityHeader(0x2008_0522, 0)  # version 3


def fork() -> int:
    """Fork without running Python's fork hooks: a third faster, and safe because this process has one thread."""
    return int(_checked("fork", _LIBC_WITH_GIL.fork()))


def prctl(option: int, value: int = 0) -> None:
    _checked("prctl", _LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def set_filter(program: ctypes.Array[ctypes.c_char]) -> None:
    """Set a seccomp filter (struct sock_fprog) for this thread; PR_SET_NO_NEW_PRIVS must be set."""
    _checked("seccomp", _LIBC.prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), program, 0, 0))


def unshare(flags: int) -> None:
    _checked("unshare", _LIBC.unshare(flags))


def mount(kind: str | None, path: str, flags: int, options: str = "") -> None:
    """Mount a file system of a kind (such as tmpfs) at a path; None changes the flags of the mount that is there.

    With MS_BIND, `kind` is the file or folder that is shown at the path, too.
    """
    source = kind.encode() if kind else None
    _checked("mount", _LIBC.mount(source, path.encode(), source, ctypes.c_ulong(flags), options.encode() or None))


def make_read_only(path: str) -> None:
    """Make the mount at a path and all mounts below it read-only, in this mount namespace (Linux 5.12 or newer)."""
    attributes = struct.pack("=QQQQ", MS_RDONLY, 0, 0, 0)
    call("mount_setattr", _MOUNT_SETATTR, _AT_FDCWD, path.encode(), _AT_RECURSIVE, attributes, len(attributes))


def unmount(path: str) -> None:
    """Detach a mount at once, even while files in it are open."""
    _checked("umount2", _LIBC.umount2(path.encode(), MNT_DETACH))


def drop_capabilities() -> None:
    header = ctypes.byref(_CAPABILITY_HEADER)
    _checked("capset", _LIBC.syscall(_CAPSET[MACHINE], header, ctypes.byref(_NO_CAPABILITIES)))


@cache
def version() -> tuple[int, int]:
    """Return the first two numbers of the kernel's version, such as (6, 14); (0, 0) if it doesn't say them."""
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def current_core() -> int:
    return int(_checked("sched_getcpu", _LIBC_WITH_GIL.sched_getcpu()))


def call(name: str, number: int, *arguments: object) -> int:
    return int(_checked(name, _LIBC.syscall(number, *arguments)))


def _checked(name: str, result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


def return_memory() -> None:
    """Give the memory that this process has freed back to the machine, where the C library can (glibc)."""
    with suppress(AttributeError):
        _LIBC.malloc_trim(0)
