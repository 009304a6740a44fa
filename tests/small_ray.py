"""A small Ray of this machine in a process of its own: one for all tests of a process that can share it.

Its workers have the package of tests/plugin.

Run as a program it prints one JSON line with its addresses once it is up, and ends with stdin.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.behaviour.chaos.processes import ProcessTree
from tests.paths import REPO
from tests.plugin import link

CPUS, GPUS = 2, 1  # the GPU is pretended
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class SmallRay:
    """The Ray, seen from outside. `url`: of its dashboard, which takes jobs; `folder`: for its files and a test's."""

    address: str
    url: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Of the Ray and of those who connect or submit to it."""
        kept = {name: v for name, v in os.environ.items() if name not in ("RAY_ADDRESS", "RAYSWEEP_STORAGE")}
        own = {"RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": str(self.folder), "HF_HUB_OFFLINE": "1"}
        own["PYTHONPATH"] = os.pathsep.join([str(self.folder / "plugin"), *os.environ.get("PYTHONPATH", "").split(":")])
        own["RAYSWEEP_EXTRA_FOLDER"] = str(self.folder / "notes")
        own["RAY_metrics_report_interval_ms"] = "1000"  # tests would wait for ten seconds
        return {**kept, **own, "PATH": f"{BIN}:{os.environ['PATH']}"}  # a job's commands are looked for there


@contextlib.contextmanager
def small_ray(autoscaling: str = "", environment: Mapping[str, str] | None = None) -> Iterator[SmallRay]:
    """Start the Ray for the length of the block; every process that it started is ended with it.

    `autoscaling`: the file of its autoscaler; empty: it has none; `environment`: further variables for it.
    """
    folder = Path(tempfile.mkdtemp(prefix="rs-", dir="/tmp"))  # AF_UNIX paths must stay short
    link(folder / "plugin")
    (folder / "notes").mkdir()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.small_ray",
            str(folder / "ray"),
            str(_free_port()),
            *([autoscaling] if autoscaling else []),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**SmallRay("", "", folder).environment, **(environment or {})},
        cwd=REPO,
        start_new_session=True,
        text=True,
    )
    tree = ProcessTree()
    tree.add_root(process.pid)
    try:
        assert process.stdout is not None
        yield SmallRay(**json.loads(process.stdout.readline()), folder=folder)
    finally:
        tree.look()
        tree.kill_all()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


class KeptRay:
    """A small Ray that is started when it is first asked for, and then kept until its end is asked for."""

    def __init__(self) -> None:
        self._ray: SmallRay | None = None
        self._ends = contextlib.ExitStack()

    def running(self) -> SmallRay:
        """Return the Ray; start it if it isn't running."""
        if self._ray is None:
            self._ray = self._ends.enter_context(small_ray())
        return self._ray

    def end(self) -> None:
        """End the Ray if it is running."""
        self._ray = None
        self._ends.close()


def serve(folder: str, port: int, autoscaling: str = "") -> None:
    """Start the Ray, print its addresses, and end it at the end of stdin.

    `ray.init` gives each Ray of a machine the same port for the agent that starts jobs, so that only the first of
    them takes any; `ray start` can give it a free one.
    """
    options = {
        "port": 0,
        "ray-client-server-port": _free_port(),
        "dashboard-port": port,
        "dashboard-agent-listen-port": 0,
        "num-cpus": CPUS,
        "num-gpus": GPUS,
        "object-store-memory": 300 * 2**20,
        "temp-dir": folder,
        **({"autoscaling-config": autoscaling} if autoscaling else {}),
    }
    command = [str(BIN / "ray"), "start", "--head", "--block", "--disable-usage-stats"]
    written = Path(folder, "ray_current_cluster")  # once everything is up
    ray = subprocess.Popen([*command, *(f"--{name}={value}" for name, value in options.items())], stdout=sys.stderr)
    try:
        while not written.exists():
            assert ray.poll() is None, "Ray didn't start"
            time.sleep(0.1)
        print(json.dumps({"address": written.read_text(), "url": f"http://127.0.0.1:{port}"}), flush=True)
        sys.stdin.read()
    finally:
        ray.terminate()


def _free_port() -> int:
    """Return a port that nobody listens at, outside of those that Ray gives to workers.

    It doesn't depend on the seed of `random`, which pytest-randomly sets alike in all processes.
    """
    while True:
        port = 21000 + secrets.randbelow(8000)
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) != 0:
                return port


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
