"""What hostile programs attack, all of it the test's own: files, listeners, a process, an environment.

Everything a program did to it is told by `World.effects`, which also puts it right again.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from tests.paths import REPO

PATIENCE = 120
"""Seconds after which a process that was killed counts as one that survived."""

SECRET = f"canary-{os.urandom(8).hex()}"
_SUBREAPER = 36
_BYSTANDER = """
import os, signal, sys
for number in (signal.SIGURG, signal.SIGIO, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, lambda number, frame: os.write(1, f"signal {number}\\n".encode()))
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""
STRAY = f"raysweep-stray-{os.urandom(4).hex()}"
"""How the names of files begin that programs leave outside; tests that run at the same time have other ones."""


class World:
    """Canaries, listeners and a bystander; a context manager. `places`: their names in the corpus."""

    def __enter__(self) -> World:
        with ExitStack() as stack:
            self.canary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="raysweep-canary-")))
            self.home = Path(tempfile.mkdtemp(prefix=".raysweep-canary-", dir=Path.home()))
            stack.callback(shutil.rmtree, self.home, ignore_errors=True)
            self._listeners = {name: stack.enter_context(made) for name, made in self._listen().items()}
            self._environment()
            stack.callback(os.environ.pop, "CANARY_TOKEN", None)
            self._bystander = self._start_bystander()
            stack.callback(self._end_bystander)
            self._ends = stack.pop_all()
        self._lay_out()
        self._before = self._files()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.close()

    @property
    def places(self) -> dict[str, str]:
        return {
            "canary": str(self.canary),
            "home": str(self.home),
            "repo": str(REPO),
            "bystander": str(self._bystander.pid),
            "tcp": str(self._listeners["tcp"].getsockname()[1]),
            "udp": str(self._listeners["udp"].getsockname()[1]),
            "host": _host(),
            "abstract": self._name,
            "stray": STRAY,
        }

    def effects(self) -> list[str]:
        """Say what was touched since the last call, and put it right."""
        now = self._files()
        found = [
            f"changed: {path}"
            for path in sorted(now.keys() | self._before.keys())
            if now.get(path) != self._before.get(path)
        ]
        if found:
            self._lay_out()
            self._before = self._files()
        for name, listener in self._listeners.items():
            with suppress(BlockingIOError):
                if listener.type == socket.SOCK_STREAM:
                    listener.accept()[0].close()
                else:
                    listener.recv(100)
                found.append(f"reached: {name}")
        return found + self._strays() + self._signals()

    def _listen(self) -> dict[str, socket.socket]:
        self._name = f"raysweep-canary-{os.urandom(4).hex()}"  # process numbers recur in other namespaces
        wanted = {
            "tcp": (socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", 0)),
            "udp": (socket.AF_INET, socket.SOCK_DGRAM, ("0.0.0.0", 0)),
            "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self._name}"),
            "abstract datagram": (socket.AF_UNIX, socket.SOCK_DGRAM, f"\0{self._name}-datagram"),
            "socket": (socket.AF_UNIX, socket.SOCK_STREAM, str(self.canary / "socket")),
            "datagram": (socket.AF_UNIX, socket.SOCK_DGRAM, str(self.canary / "datagram")),
        }
        made = {}
        for name, (family, kind, address) in wanted.items():
            made[name] = socket.socket(family, kind)
            made[name].bind(address)
            made[name].setblocking(False)
            if kind == socket.SOCK_STREAM:
                made[name].listen(16)
        return made

    def _lay_out(self) -> None:
        """Make canary files, open to everybody, so that only a sandbox protects them."""
        for folder in (self.canary, self.home):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)
            for path in folder.iterdir():
                if path.name not in ("socket", "datagram"):
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            for name in ("secret", "precious"):
                (folder / name).write_text(f"{SECRET}\n")
                (folder / name).chmod(0o666)
            (folder / "stolen.py").write_text(f"secret = {SECRET!r}\n")
        for name in ("socket", "datagram"):
            with suppress(FileNotFoundError):
                (self.canary / name).chmod(0o777)

    def _files(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for path in (self.canary, *self.canary.rglob("*"), self.home, *self.home.rglob("*")):
            if not path.is_symlink() and not path.exists():
                continue
            state = path.lstat()
            content = path.read_text() if path.is_file() else ""
            found[str(path)] = (state.st_mode, state.st_uid, state.st_nlink, state.st_mtime_ns, content)
        return found

    def _strays(self) -> list[str]:
        found = [path for folder in ("/tmp", "/var/tmp", "/dev/shm") for path in Path(folder).glob(f"{STRAY}*")]
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return [f"left: {path}" for path in found]

    def _environment(self) -> None:
        os.environ["CANARY_TOKEN"] = SECRET

    def _start_bystander(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-S", "-c", _BYSTANDER, self._name]
        made = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        assert made.stdout is not None and made.stdout.readline() == b"ready\n"
        os.set_blocking(made.stdout.fileno(), False)
        return made

    def _end_bystander(self) -> None:
        self._bystander.kill()
        self._bystander.wait()

    def _signals(self) -> list[str]:
        assert self._bystander.stdout is not None
        heard = self._bystander.stdout.read() or b""
        gone = [f"the bystander ended: {self._bystander.returncode}"] if self._bystander.poll() is not None else []
        return [f"the bystander got {line}" for line in heard.decode().splitlines()] + gone


@contextmanager
def survivors() -> Iterator[list[str]]:
    """Collect what is left alive below this process, orphans included, when the block ends.

    This process is made a subreaper for that time, so that whoever loses its parent comes to it, and is waited for.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    left: list[str] = []
    try:
        yield left
        until = time.monotonic() + PATIENCE
        while (found := _new(before)) and time.monotonic() < until:
            time.sleep(0.05)
        left += [f"{process.pid} {process.name()} {process.status()}" for process in found]
        for process in found:
            _end(process)
    finally:
        libc.prctl(_SUBREAPER, 0, 0, 0, 0)


def _new(before: set[int]) -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.pid in before:
                continue
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
            elif process.ppid() == os.getpid():
                with suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
    return found


def _end(process: psutil.Process) -> None:
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(process.pid, 0)


def _host() -> str:
    """Return an address of this machine that isn't 127.0.0.1, where it has one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))
            return str(asked.getsockname()[0])
        except OSError:
            return "127.0.0.1"
