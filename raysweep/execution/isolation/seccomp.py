"""Seccomp restricts which system calls a program may make: an allow-list of those that Python programs need.

It refuses fork, exec, sockets except pairs, signals to other processes, mounts and tracing; what compilers and compiled
programs need of the first two is `Starts`. A refused call fails with
EPERM; calls newer than the list fail with ENOSYS, so that libraries fall back to older ones. The filter is a binary
search over the call numbers: the kernel evaluates it for each number (some 450) when it is set, which would be slow
with a long chain of comparisons.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from enum import IntFlag

from raysweep.execution.isolation import kernel

_ARCHES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_LOAD, _JUMP, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF_0000, 0x8000_0000, 0x0005_0001, 0x0005_0026
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_OWN_PID = 0xFFFF_FFF0  # replaced by the pid of the process that sets the filter
_FIRST_NEW = 424  # refused calls from this number on fail with ENOSYS
_CLONE_THREAD, _CLONE_NAMESPACES = 0x1_0000, 0x7E02_0000

# name: numbers on x86_64 and aarch64 (-1: no such call), from the kernel's syscall tables
_ALLOWED_CALLS = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "stat": (4, -1), "fstat": (5, 80),
    "lstat": (6, -1), "poll": (7, -1), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "pread64": (17, 67), "pwrite64": (18, 68), "readv": (19, 65), "writev": (20, 66),
    "access": (21, -1), "pipe": (22, -1), "select": (23, -1), "sched_yield": (24, 124), "mremap": (25, 216),
    "msync": (26, 227), "mincore": (27, 232), "madvise": (28, 233), "dup": (32, 23), "dup2": (33, -1),
    "pause": (34, -1), "nanosleep": (35, 101), "getitimer": (36, 102), "alarm": (37, -1), "setitimer": (38, 103),
    "getpid": (39, 172), "sendfile": (40, 71), "recvfrom": (45, 207), "shutdown": (48, 210),
    "getsockname": (51, 204), "getpeername": (52, 205), "getsockopt": (55, 209), "exit": (60, 93),
    "wait4": (61, 260), "uname": (63, 160), "flock": (73, 32), "fsync": (74, 82), "fdatasync": (75, 83),
    "ftruncate": (77, 46), "getdents": (78, -1), "getcwd": (79, 17), "chdir": (80, 49),
    "fchdir": (81, 50), "rename": (82, -1), "mkdir": (83, -1), "rmdir": (84, -1), "creat": (85, -1),
    "unlink": (87, -1), "symlink": (88, -1), "readlink": (89, -1), "umask": (95, 166), "gettimeofday": (96, 169),
    "getrlimit": (97, 163), "getrusage": (98, 165), "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174),
    "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177), "getppid": (110, 173), "getpgrp": (111, -1),
    "getgroups": (115, 158), "getresuid": (118, 148), "getresgid": (120, 150), "getpgid": (121, 155),
    "getsid": (124, 156), "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132), "statfs": (137, 43), "fstatfs": (138, 44), "getpriority": (140, 141),
    "sched_getparam": (143, 121), "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126), "gettid": (186, 178), "time": (201, -1), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "epoll_create": (213, -1), "getdents64": (217, 61),
    "set_tid_address": (218, 96), "restart_syscall": (219, 128), "fadvise64": (221, 223),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "epoll_wait": (232, -1), "epoll_ctl": (233, 21),
    "waitid": (247, 95), "mkdirat": (258, 34), "newfstatat": (262, 79), "unlinkat": (263, 35),
    "renameat": (264, 38), "symlinkat": (266, 36), "readlinkat": (267, 78), "faccessat": (269, 48),
    "pselect6": (270, 72), "ppoll": (271, 73), "set_robust_list": (273, 99), "get_robust_list": (274, 100),
    "epoll_pwait": (281, 22), "fallocate": (285, 47), "eventfd2": (290, 19), "epoll_create1": (291, 20),
    "dup3": (292, 24), "pipe2": (293, 59), "preadv": (295, 69), "pwritev": (296, 70), "getcpu": (309, 168),
    "renameat2": (316, 276), "getrandom": (318, 278), "membarrier": (324, 283), "copy_file_range": (326, 285),
    "statx": (332, 291), "rseq": (334, 293), "close_range": (436, 436),
    "faccessat2": (439, 439), "futex_waitv": (449, 449),
}  # fmt: skip
_ALLOWED_IF_READ_ONLY = {  # Landlock doesn't restrict them, or only since Linux 6.2: allowed where other mounts are
    "truncate": (76, 45), "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "utime": (132, -1),
    "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88),
}  # fmt: skip
# name: (numbers, index of the argument, its allowed values); other values are refused
_ALLOWED_BY_VALUE = {
    # is it a terminal, bytes to read, blocking, close-on-exec
    "ioctl": ((16, 29), 1, (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)),
    "socketpair": ((53, 199), 0, (1,)),  # AF_UNIX: asyncio needs one
    "sendto": ((44, 206), 4, (0,)),  # no address: over a socket pair
    "kill": ((62, 129), 0, (_OWN_PID,)),
    "tgkill": ((234, 131), 0, (_OWN_PID,)),
    "prctl": ((157, 167), 0, (15, 16)),  # the thread's name
    "prlimit64": ((302, 261), 2, (0,)),  # reading limits
    "fcntl": ((72, 25), 1, (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032, 1034)),  # neither owners nor leases
}
# name: (numbers, index of the flags). A file without a name (O_TMPFILE) leaves no trace in its folder, but the numbers
# of later files tell of it. Before Linux 6.2, Landlock lets O_TRUNC empty a file that is opened for reading alone.
# `openat2`, whose flags are in memory, isn't allowed at all.
_OPENING = {"open": ((2, -1), 1), "openat": ((257, 56), 2)}
_WRITING, _TRUNC, _TMPFILE = 0b11, 0x200, 0x40_0000
_ALLOWED_FOR_JUDGES = {"sendmsg": (46, 211)}
_ALLOWED_TO_EXECUTE = {"execve": (59, 221), "arch_prctl": (158, -1)}
_ALLOWED_TO_FORK = {"clone": (56, 220), "fork": (57, -1), "vfork": (58, -1)}
_ALLOWED_FOR_SCRIPTS = {  # links, attributes of files, sessions, timers; no watches, which need no right of Landlock's
    "link": (86, -1), "linkat": (265, 37), "setpgid": (109, 154), "setsid": (112, 157), "getxattr": (191, 8),
    "lgetxattr": (192, 9), "fgetxattr": (193, 10), "listxattr": (194, 11), "llistxattr": (195, 12),
    "flistxattr": (196, 13), "timer_create": (222, 107), "timer_settime": (223, 110), "timer_gettime": (224, 108),
    "timer_getoverrun": (225, 109), "timer_delete": (226, 111), "timerfd_create": (283, 85),
    "timerfd_settime": (286, 86), "timerfd_gettime": (287, 87), "signalfd4": (289, 74),
}  # fmt: skip
_ALLOWED_ALONE = {  # in namespaces of their own: signals to any process that they see, sockets, pipes with names
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "connect": (42, 203), "setsockopt": (54, 208), "sendto": (44, 206),
    "sendmsg": (46, 211), "recvmsg": (47, 212), "sendmmsg": (307, 269), "recvmmsg": (299, 243),
    "mknod": (133, -1), "mknodat": (259, 33), "setpriority": (141, 140), "sched_setaffinity": (203, 122),
}  # fmt: skip
_SOCKETS = (41, 198), (2, 10)  # IPv4 and IPv6; sockets with paths would reach those of the machine's own services
_EXECVEAT, _AT_EMPTY_PATH = (322, 281), 0x1000


class Starts(IntFlag):
    """What a process may start, beside threads. `arch_prctl` belongs to it: each new program calls it first."""

    NOTHING = 0
    MEMORY = 1  # be replaced by an open file (execveat without a path): a compiled program starts so
    PATHS = 2  # be replaced by a file that Landlock lets it execute: a JVM starts so
    PROCESSES = 4  # start processes, as a compiler does
    SCRIPTS = 8  # use the machine as scripts do, see `_ALLOWED_FOR_SCRIPTS`


def program(
    read_only: bool, passes_descriptors: bool = False, starts: Starts = Starts.NOTHING, *, alone: bool = False
) -> ctypes.Array[ctypes.c_char]:
    """Return the filter's instructions for this machine, for `install`.

    `read_only`: everything outside the box is mounted read-only, so calls that change modes and times are allowed.
    `passes_descriptors`: the process may send descriptors through its sockets, as a judge does. `alone`: a script sees
    no processes and no network but its slot's.

    Raises:
        OSError: there is no table of system calls for this machine.
    """
    if kernel.MACHINE not in _ARCHES:
        raise OSError(0, f"seccomp: no table of system calls for {kernel.MACHINE}")
    column = list(_ARCHES).index(kernel.MACHINE)
    allow, refuse = _step(_RETURN, _ALLOW), _step(_RETURN, _EPERM)
    leaves: dict[int, list[bytes]] = {}
    more = (_ALLOWED_IF_READ_ONLY if read_only else {}) | (_ALLOWED_FOR_JUDGES if passes_descriptors else {})
    for numbers in (_ALLOWED_CALLS | more).values():
        leaves[numbers[column]] = [allow]
    for numbers, argument, values in _ALLOWED_BY_VALUE.values():
        leaves[numbers[column]] = _one_of(argument, values)
    for numbers, argument in _OPENING.values():
        tests = [_step(_ANY_BIT, _TMPFILE, 3), _step(_ANY_BIT, _TRUNC, 0, 1), _step(_ANY_BIT, _WRITING, 0, 1)]
        leaves[numbers[column]] = [_step(_LOAD, _ARGUMENTS + 8 * argument), *tests, allow, refuse]
    leaves[(56, 220)[column]] = [_step(_LOAD, _ARGUMENTS), _step(_ANY_BIT, _CLONE_THREAD, 0, 1), allow, refuse]
    calls = {"arch_prctl": _ALLOWED_TO_EXECUTE["arch_prctl"]} if starts else {}
    calls |= _ALLOWED_TO_EXECUTE if Starts.PATHS in starts else {}
    calls |= _ALLOWED_TO_FORK if Starts.PROCESSES in starts else {}
    calls |= _ALLOWED_FOR_SCRIPTS if Starts.SCRIPTS in starts else {}
    calls |= _ALLOWED_ALONE if Starts.SCRIPTS in starts and alone else {}
    leaves |= {numbers[column]: [allow] for numbers in calls.values()}
    if Starts.PROCESSES in starts:
        leaves[(56, 220)[column]] = [_step(_LOAD, _ARGUMENTS), _step(_ANY_BIT, _CLONE_NAMESPACES, 1), allow, refuse]
    if Starts.SCRIPTS in starts and alone:
        leaves[_SOCKETS[0][column]] = _one_of(0, _SOCKETS[1])
    if Starts.MEMORY in starts:
        leaves[_EXECVEAT[column]] = _one_of(4, (_AT_EMPTY_PATH,))
    leaves.pop(-1, None)
    start = [_step(_LOAD, _ARCH), _step(_EQUAL, _ARCHES[kernel.MACHINE], 1), _step(_RETURN, _KILL)]
    steps = [*start, _step(_LOAD, _NUMBER), *_search(_intervals(leaves))]
    return ctypes.create_string_buffer(b"".join(steps), 8 * len(steps))


def install(instructions: ctypes.Array[ctypes.c_char], pid: int) -> None:
    code = ctypes.create_string_buffer(instructions.raw.replace(struct.pack("=I", _OWN_PID), struct.pack("=I", pid)))
    header = struct.pack("HxxxxxxP", len(instructions) // 8, ctypes.addressof(code))
    buffer = ctypes.create_string_buffer(header)
    kernel.set_filter(buffer)


def _intervals(leaves: dict[int, list[bytes]]) -> list[tuple[int, list[bytes]]]:
    """Return (first call number, instructions) for consecutive ranges of call numbers, starting at 0."""
    intervals: list[tuple[int, list[bytes]]] = []
    for number in range(max(leaves) + 2):
        steps = leaves.get(number) or [_step(_RETURN, _EPERM if number < _FIRST_NEW else _ENOSYS)]
        if not intervals or intervals[-1][1] != steps:
            intervals.append((number, steps))
    return intervals


def _search(intervals: Sequence[tuple[int, list[bytes]]]) -> list[bytes]:
    """Return a binary search over the intervals: it skips the right half if the number is below its first one."""
    if len(intervals) == 1:
        return intervals[0][1]
    middle = len(intervals) // 2
    left, right = _search(intervals[:middle]), _search(intervals[middle:])
    return [_step(_AT_LEAST, intervals[middle][0], 1, 0), _step(_JUMP, len(right)), *right, *left]


def _one_of(argument: int, values: Sequence[int]) -> list[bytes]:
    """Return instructions that allow a call if the argument with this index is one of the values."""
    high = [_step(_LOAD, _ARGUMENTS + 8 * argument + 4), _step(_EQUAL, 0, 1), _step(_RETURN, _EPERM)]
    tests = [_step(_EQUAL, value, len(values) - index, 0) for index, value in enumerate(values)]
    low = [_step(_LOAD, _ARGUMENTS + 8 * argument), *tests]
    return [*(high if values == (0,) else []), *low, _step(_RETURN, _EPERM), _step(_RETURN, _ALLOW)]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
