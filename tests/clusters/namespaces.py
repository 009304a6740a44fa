"""Machines that are namespaces of this one: a network with a bridge, and on each a disk, processes and an sshd.

A machine sees this one's programs, below a disk of its own. Nothing on it sees other machines but over the network, and
none reaches the outside. All ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.clusters.packages import write_wheels
from tests.patience import PATIENCE, eventually

USER, USER_ID, HOME = "ubuntu", 5353, "/home/ubuntu"
DOMAIN = "example.org"
NETWORK = "10.77.0"
PYTHON = "3.11"
WHEELS = "/opt/wheels-of-packages"
SHARED = "/shared"
"""The folder that lies under the same path on all machines."""
SHM_BYTES = 330_000_000
"""Of /dev/shm on each machine, where Ray keeps its objects."""
COMMANDS = ("ip", "unshare", "nsenter", "pivot_root", "setpriv", "runuser", "sshd", "ssh", "ssh-keygen", "rsync")
_SEEN = (sys.base_prefix, sysconfig.get_path("purelib"))
"""What every machine sees under its own path, and may read: Python and the packages of this environment."""
_MACHINE = Path(__file__).with_name("machine.sh")
_SSHD = """Port 22
HostKey /etc/ssh/machine_key
PidFile none
UsePAM no
PasswordAuthentication no
"""
_UV = f"""offline = true
no-index = true
find-links = ["{WHEELS}"]
python-downloads = "never"
link-mode = "copy"
"""


def missing() -> str:
    """Return why there can be no such machines here; "" if there can."""
    if os.geteuid() != 0:
        return "needs root, for namespaces and a network of its own"
    lacking = [name for name in COMMANDS if _which(name) is None]
    if lacking:
        return f"needs {', '.join(lacking)}: apt-get install iproute2 util-linux openssh-server openssh-client rsync"
    if _which("uv") is None:
        return "needs uv: pip install uv"
    if f"{sys.version_info[0]}.{sys.version_info[1]}" != PYTHON:
        return f"needs Python {PYTHON}, which the files of clusters/ name"
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        for name in ("upper", "work", "root"):
            Path(folder, name).mkdir()
        overlay = f"mount -t overlay overlay -o lowerdir=/,upperdir={folder}/upper,workdir={folder}/work {folder}/root"
        text = f"ip link add name bridge type bridge && {overlay}"
        command = ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "bash", "-c", text]
        tried = subprocess.run(command, capture_output=True, text=True)
    return f"can't make namespaces with a bridge and an overlay: {tried.stderr.strip()}" if tried.returncode else ""


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin")


@dataclass
class Machine:
    """A machine. `id`: of its process 1, as this machine counts."""

    name: str
    address: str
    site: Site
    id: int = 0
    started: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        """Its files, as this machine sees them."""
        return Path(f"/proc/{self.id}/root")

    @property
    def home(self) -> Path:
        """Its user's home, as this machine sees it."""
        return Path(f"{self.root}{HOME}")

    def command(self, text: str) -> list[str]:
        """Return a command that runs a shell's text as the user, in a login shell in the user's home."""
        inside = ["nsenter", f"--target={self.id}", "--mount", "--net", "--pid", "--uts", "--wd=/"]
        as_user = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "runuser", "--login", USER, "--command"]
        return [*inside, *as_user, text]

    def run(self, text: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell's text as the user; with `check` it must end with 0."""
        done = subprocess.run(self.command(text), capture_output=True, text=True, timeout=PATIENCE)
        assert not check or done.returncode == 0, f"{self.name}: {text}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self) -> None:
        """Start the machine, with the disk that it had before."""
        self.id = 0
        places = {WHEELS: self.site.wheels, SHARED: self.site.shared} | {folder: folder for folder in _SEEN}
        script = ["bash", str(_MACHINE), self.name, str(self.site.folder / "disks" / self.name), str(SHM_BYTES)]
        self.started = subprocess.Popen(
            [
                *self.site.inside("--mount", "--net", "--pid"),
                *("unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--kill-child"),
                *(*script, *(f"{place}={folder}" for place, folder in places.items())),
            ],
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
        assert eventually(self._has_first_process), f"{self.name} does not start"
        peer = f"to-{self.id}"  # the one before, of a machine that was killed, may last a moment longer
        self.site.ip(f"link add name {peer} type veth peer name eth0 netns {self.id}")
        self.site.ip(f"link set {peer} master bridge up")
        for what in ("link set lo up", f"addr add {self.address}/24 dev eth0", "link set eth0 up"):
            subprocess.run(["nsenter", f"--target={self.id}", "--net", "ip", *what.split()], check=True)
        assert eventually(self._has_sshd), f"{self.name} has no sshd"

    def kill(self) -> None:
        """End the machine without a word to anybody; its disk stays."""
        assert self.started is not None
        os.kill(self.id, 9)
        self.started.wait()

    def _has_first_process(self) -> bool:
        """Whether the machine has a process 1; note it."""
        assert self.started is not None and self.started.poll() is None, f"{self.name} has ended"
        for one in psutil.Process(self.started.pid).children(recursive=True):
            with contextlib.suppress(OSError, psutil.Error):
                status = Path(f"/proc/{one.pid}/status").read_text()
                if one.name() == "bash" and re.search(r"^NSpid:.*\t1$", status, re.MULTILINE):
                    self.id = one.pid
        return self.id != 0

    def _has_sshd(self) -> bool:
        assert self.started is not None and self.started.poll() is None, f"{self.name} has ended"
        asked = ["nsenter", f"--target={self.id}", "--net", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/22"]
        return subprocess.run(asked, capture_output=True).returncode == 0


@dataclass
class Site:
    """A network of machines. `folder`: for their disks and the folder that they share."""

    folder: Path
    holder: subprocess.Popen[bytes]
    machines: dict[str, Machine] = field(default_factory=dict)

    @property
    def shared(self) -> Path:
        """The folder that all machines have as `SHARED`."""
        return self.folder / "shared"

    @property
    def wheels(self) -> Path:
        """The folder that all machines have as `WHEELS`."""
        return self.folder / "wheels"

    def inside(self, *namespaces: str) -> list[str]:
        """Return the beginning of a command that runs in namespaces of the network."""
        (first,) = psutil.Process(self.holder.pid).children()
        return ["nsenter", f"--target={first.pid}", *namespaces]

    def ip(self, command: str) -> None:
        """Change the network."""
        done = subprocess.run([*self.inside("--net"), "ip", *command.split()], capture_output=True, text=True)
        assert done.returncode == 0, f"ip {command}: {done.stderr}"

    def add(self, name: str) -> Machine:
        """Add a machine and start it."""
        machine = Machine(name, f"{NETWORK}.{len(self.machines) + 2}", self)
        self.machines[name] = machine
        for other in self.machines.values():
            self._write_hosts(other)
        disk = self.folder / "disks" / name / "upper"
        files = _files_of_a_machine(Path(_which("uv") or ""))
        for path, content in files.items():
            place = disk / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        os.setxattr(disk / "home", "trusted.overlay.opaque", b"y")  # the homes of this machine are not seen
        (disk / "home/ubuntu/.local/bin/uv").chmod(0o755)
        (disk / "etc/ssh/machine_key").chmod(0o600)
        for path in (one for folder in _SEEN for one in reversed(Path(folder).parents)):
            Path(f"{disk}{path}").mkdir(mode=0o755, exist_ok=True)
        self.give(disk / HOME.removeprefix("/"))
        machine.start()
        return machine

    def give(self, folder: Path) -> None:
        """Give a folder, as this machine sees it, to the user of the machines."""
        subprocess.run(["chown", "-R", f"{USER_ID}:{USER_ID}", folder], check=True)

    def _write_hosts(self, machine: Machine) -> None:
        lines = [
            "127.0.0.1 localhost",
            *(f"{one.address} {one.name}.{DOMAIN} {one.name}" for one in self.machines.values()),
        ]
        disk = self.folder / "disks" / machine.name / "upper"
        place = disk / "etc/hosts" if not machine.id else machine.root / "etc/hosts"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("\n".join(lines) + "\n")


def _files_of_a_machine(uv: Path) -> Mapping[str, bytes]:
    """Return the files that a machine has beside those of this one: an account with a home, a host's key, settings."""
    files = {"etc/shadow": f"{USER}:*:20000::::::\n".encode()}
    user, group = f"{USER}:x:{USER_ID}:{USER_ID}::{HOME}:/bin/bash", f"{USER}:x:{USER_ID}:"
    for path, line in (("etc/passwd", user), ("etc/group", group)):
        others = [one for one in Path("/", path).read_text().splitlines() if not one.startswith(f"{USER}:")]
        files[path] = "\n".join([*others, line, ""]).encode()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/key"], check=True)
        files["etc/ssh/machine_key"] = Path(folder, "key").read_bytes()
    home = HOME.removeprefix("/")
    skeleton = {path.name: path.read_bytes() for path in Path("/etc/skel").iterdir() if path.is_file()}
    files |= {f"{home}/{name}": content for name, content in skeleton.items()}
    files["etc/profile.d/python.sh"] = f"PATH={sys.base_prefix}/bin:$PATH\n".encode()
    files |= {"etc/ssh/machine_config": _SSHD.encode(), f"{home}/.config/uv/uv.toml": _UV.encode()}
    return {**files, f"{home}/.local/bin/uv": uv.read_bytes()}


def allow(laptop: Machine, *others: Machine) -> None:
    """Make a key for the user of a machine, with which the user of the others is reached."""
    laptop.run("mkdir -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519")
    public = (laptop.home / ".ssh/id_ed25519.pub").read_text().strip()
    for other in others:
        other.run(f"mkdir -m 700 ~/.ssh && echo {shlex.quote(public)} > ~/.ssh/authorized_keys")


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """Make a network without machines for the length of the block; all that runs on its machines ends with it."""
    with contextlib.ExitStack() as ends:
        folder = Path(tempfile.mkdtemp(prefix="rs-site-", dir="/tmp"))
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        for name in ("disks", "shared", "wheels"):
            (folder / name).mkdir()
        os.chown(folder / "shared", USER_ID, USER_ID)
        write_wheels(Path(sysconfig.get_path("purelib")), folder / "wheels")
        command = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
        holder = subprocess.Popen(
            [*command, "--mount-proc", "sleep", "infinity"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

        def end() -> None:
            for first in psutil.Process(holder.pid).children():
                first.kill()  # and with it all processes of all machines
            holder.wait()

        ends.callback(end)
        assert eventually(lambda: len(psutil.Process(holder.pid).children()) == 1)
        made = Site(folder, holder)
        made.ip("link add name bridge type bridge")
        made.ip("link set bridge up")
        yield made
