"""Landlock restricts which files a program may read and write, and forbids TCP. Setting it needs no privileges.

https://docs.kernel.org/userspace-api/landlock.html. It doesn't cover modes and times of files; seccomp.py does.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from functools import cache

from raysweep.execution.isolation import kernel

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system call numbers, the same on all machines
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE, _READ, _READ_DIR, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # Landlock version: number of rights on files and folders
_RIGHTS_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE | 1 << 15
_TCP, _SCOPES = 0b11, 0b11  # bind and connect; abstract sockets and signals
_MAKE_DEVICES = 1 << 6 | 1 << 11
_MAKE_SPECIAL = _MAKE_DEVICES | 1 << 9 | 1 << 10  # sockets and pipes, too


def abi() -> int:
    """Return the kernel's version of Landlock; raise OSError where it has none."""
    return kernel.call("landlock_create_ruleset", _CREATE, None, ctypes.c_size_t(0), _VERSION_FLAG)


def ruleset(
    listable: Iterable[str],
    readable: Iterable[str],
    writable: Iterable[str],
    executable: Iterable[str] = (),
    *,
    alone: bool = False,
) -> int:
    """Return a descriptor of rules that allow to list, read and write below these paths and refuse all other files.

    `listable`: folders, whose names alone may be listed. `writable`: everything but executing and making special files
    is allowed there. `executable`: files, or folders of them, which may be read too; one in memory (`memfd_create`)
    needs no such right. `alone`: a script has namespaces of its own; TCP is allowed, and where one may write also to
    execute, and sockets and pipes with names. Paths that don't exist are skipped.

    Raises:
        OSError: Landlock is missing or switched off.
    """
    version, rights = abi(), _all_rights()
    fields = [rights, _TCP if version >= 4 and not alone else 0, _SCOPES if version >= 6 else 0]
    attributes = struct.pack("=QQQ", *fields)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = kernel.call("landlock_create_ruleset", _CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    for path in listable:
        _allow(rules, path, _READ_DIR)
    for path in readable:
        _allow(rules, path, (_READ | _READ_DIR) & rights)
    for path in writable:
        allow_writing(rules, path, alone=alone)
    for path in executable:
        _allow(rules, path, (_READ | _READ_DIR | _EXECUTE) & rights)
    return rules


def allow_writing(rules: int, path: str, *, alone: bool = False) -> None:
    """Add a path to the writable ones of `ruleset`, for processes to which the rules are applied afterwards."""
    _allow(rules, path, _all_rights() & ~(_MAKE_DEVICES if alone else _MAKE_SPECIAL | _EXECUTE))


def restrict(rules: int) -> None:
    """Apply the rules to this process for the rest of its life; PR_SET_NO_NEW_PRIVS must be set."""
    kernel.call("landlock_restrict_self", _RESTRICT, rules, 0)


@cache
def _all_rights() -> int:
    return (1 << _FILE_RIGHTS.get(abi(), 16)) - 1


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        allowed = rights if os.path.isdir(path) else rights & _RIGHTS_OF_FILES  # noqa: PTH112
        attributes = struct.pack("=Qi", allowed, descriptor)
        kernel.call("landlock_add_rule", _ADD, rules, _PATH_BENEATH, attributes, 0)
    finally:
        os.close(descriptor)
