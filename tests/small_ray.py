"""A small Ray of this machine in a process of its own: one for all tests of a process that can share it.

Tests add nodes to it and remove them. Accelerators are only counted. Its workers have the package of tests/plugin.

Run as a program it takes, as JSON, the arguments of its head. It prints one JSON line with its addresses once it is up,
obeys the orders on stdin (each a line of JSON: the name of a method of `Nodes`, and its argument), prints one line of
JSON after each of them, and ends with stdin.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.behaviour.chaos.processes import ProcessTree
from tests.paths import REPO
from tests.patience import PATIENCE, eventually
from tests.plugin import link

CPUS, GPUS = 2, 1  # the GPU is pretended
HEAD: dict[str, Any] = {"num_cpus": CPUS, "num_gpus": GPUS, "object_store_memory": 300 * 2**20}
HEAD["include_log_monitor"] = False  # it looks at logs ten times a second, and nobody here has them sent
NODE: dict[str, Any] = {"num_cpus": 2, "object_store_memory": 100 * 2**20}
START_ATTEMPTS = 3
"""Ray gives up on a node that isn't up within half a minute, as on a busy machine."""
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Node:
    """A node beside the head. `raylet`: the id of the process above all others of the node."""

    id: str
    raylet: int


@dataclass(frozen=True)
class SmallRay:
    """The Ray, seen from outside.

    `url`: of its dashboard, which takes jobs; `folder`: for its files and a test's; `process`: above all others of it;
    `lock`: held while an order is given and answered.
    """

    address: str
    url: str
    folder: Path
    process: subprocess.Popen[str]
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        """Of the Ray and of those who connect or submit to it."""
        return environment_in(self.folder)

    @property
    def notes(self) -> Path:
        """The folder in which parts of tests/plugin write down things."""
        return self.folder / "notes"

    def add(self, **arguments: Any) -> Node:
        """Add a node; return it once Ray knows that it is alive.

        `arguments`: others than those of `NODE`: `num_cpus`, `num_gpus`, `resources`, `labels`, `env_vars`, `memory`.
        """
        return Node(**self._ordered("add", {**NODE, **arguments}))

    def remove(self, node: Node) -> None:
        """Remove a node, or wait for the end of a lost one; return once Ray knows it and all its processes are gone."""
        self._ordered("remove", node.id)

    def lose(self, node: Node) -> None:
        """Kill all processes of a node, which Ray is not told and finds out."""
        self._ordered("lose", node.id)

    @contextlib.contextmanager
    def nodes(self, *each: Mapping[str, Any]) -> Iterator[list[Node]]:
        """Add nodes for the length of the block; see `add`."""
        with contextlib.ExitStack() as ends:
            added: list[Node] = []
            for arguments in each:
                added.append(self.add(**arguments))
                ends.callback(self.remove, added[-1])
            yield added

    def _ordered(self, what: str, given: Any) -> Any:
        with self.lock:
            assert self.process.stdin is not None
            print(json.dumps([what, given]), file=self.process.stdin, flush=True)
            answer = _next_answer(self.process)
        assert "error" not in answer, f"can't {what} a node:\n{answer['error']}"
        return answer


def _next_answer(process: subprocess.Popen[str]) -> Any:
    """Wait for the next line of a Ray; each line is an answer, so none is read ahead."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
    line = process.stdout.readline() if ready else ""
    assert line, "the Ray hangs" if not ready else "the Ray has ended"
    return json.loads(line)


def environment_in(folder: Path) -> dict[str, str]:
    """Return the environment of a Ray with this folder."""
    kept = {name: v for name, v in os.environ.items() if name not in ("RAY_ADDRESS", "RAYSWEEP_STORAGE")}
    own = {"RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    own |= {"RAYSWEEP_CACHE": str(folder / "cache"), "RAYSWEEP_EXTRA_FOLDER": str(folder / "notes")}
    own["PYTHONPATH"] = os.pathsep.join([str(folder / "plugin"), *os.environ.get("PYTHONPATH", "").split(":")])
    own |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return {**kept, **own, "PATH": f"{BIN}:{os.environ['PATH']}"}  # a job's commands are looked for there


@contextlib.contextmanager
def small_ray(environment: Mapping[str, str] | None = None, **head: Any) -> Iterator[SmallRay]:
    """Start the Ray for the length of the block; every process that it started is ended with it.

    `environment`: further variables for it; `head`: arguments of its head, beside or instead of those in `HEAD`.
    """
    folder = Path(tempfile.mkdtemp(prefix="rs-", dir="/tmp"))  # AF_UNIX paths must stay short
    link(folder / "plugin")
    (folder / "notes").mkdir()
    with contextlib.ExitStack() as ends:
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        for attempt in range(START_ATTEMPTS):
            process = ends.enter_context(_process(folder, environment or {}, {**HEAD, **head}))
            try:
                answer = _next_answer(process)
                break
            except AssertionError:
                if attempt == START_ATTEMPTS - 1:
                    raise
        yield SmallRay(**answer, folder=folder, process=process)


@contextlib.contextmanager
def _process(folder: Path, environment: Mapping[str, str], head: Mapping[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """Start the process of a Ray for the length of the block, and end it with all that it started."""
    (folder / "ray").mkdir(exist_ok=True)  # Ray writes a file there and does not make the folder
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.small_ray", json.dumps(head)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**environment_in(folder), **environment},
        cwd=REPO,
        start_new_session=True,  # Ray's reaper kills its whole process group
        text=True,
    )
    tree = ProcessTree()
    tree.add_root(process.pid)
    try:
        yield process
    finally:
        tree.look()
        tree.kill_all()
        process.wait()


class KeptRay:
    """A small Ray that is started when it is first asked for, and then kept until its end is asked for.

    `environment`: further variables for it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._ray: SmallRay | None = None
        self._ends = contextlib.ExitStack()

    def running(self) -> SmallRay:
        """Return the Ray; start it if it isn't running, or a new one if it ended by itself."""
        if self._ray is not None and self._ray.process.poll() is not None:
            self.end()
        if self._ray is None:
            self._ray = self._ends.enter_context(small_ray(self._environment))
        return self._ray

    def end(self) -> None:
        """End the Ray if it is running."""
        self._ray = None
        self._ends.close()


def serve(head: Mapping[str, Any]) -> None:
    """Start the Ray, print its addresses, obey the orders on stdin, and end with it.

    `ray.init` gives each Ray of a machine the same port for the agent that starts jobs, so that only the first of
    them takes any; here each has a free one.
    """
    from ray.cluster_utils import Cluster

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever Ray prints is no answer
    port = _free_port()
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"dashboard_port": port, "dashboard_agent_listen_port": 0, "wait": False, **head},
    )
    print(json.dumps({"address": cluster.address, "url": f"http://127.0.0.1:{port}"}), file=answers, flush=True)
    nodes = Nodes(cluster)
    for line in sys.stdin:
        what, given = json.loads(line)
        try:
            answer = getattr(nodes, what)(given)
        except Exception:
            answer = {"error": traceback.format_exc()}  # the Ray itself goes on for the other tests
        print(json.dumps(answer or {}), file=answers, flush=True)


class Nodes:
    """The nodes of a `ray.cluster_utils.Cluster` beside its head."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._added: dict[str, Any] = {}

    def add(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Add a node, and wait until Ray knows it."""
        node = self._started(arguments)
        self._added[node.node_id] = node
        assert eventually(lambda: self._is_alive(node.node_id)), "Ray doesn't know the node"
        return {"id": node.node_id, "raylet": self._raylet(node)}

    def remove(self, node: str) -> None:
        """End a node, and wait until Ray takes it for dead."""
        if node in self._added:
            self._end(node, in_order=True)
        assert eventually(lambda: not self._is_alive(node)), "Ray takes the node for alive"

    def lose(self, node: str) -> None:
        """End a node without a word to Ray."""
        self._end(node, in_order=False)

    def _started(self, arguments: Mapping[str, Any]) -> Any:
        """Start a node, several times where the machine is so busy that Ray gives up after half a minute."""
        for attempt in range(START_ATTEMPTS):
            before = {child.pid for child in psutil.Process().children()}
            try:
                return self._cluster.add_node(wait=False, **arguments)
            except Exception:
                tree = ProcessTree()
                for pid in {child.pid for child in psutil.Process().children()} - before:
                    tree.add_root(pid)
                tree.kill_all()
                if attempt == START_ATTEMPTS - 1:
                    raise
        return None

    def _end(self, node: str, *, in_order: bool) -> None:
        ended, tree = self._added.pop(node), ProcessTree()
        tree.add_root(self._raylet(ended))
        tree.look()
        self._cluster.remove_node(ended, allow_graceful=in_order)
        tree.kill_all()

    def _is_alive(self, node: str) -> bool:
        return any(one["NodeID"] == node and one["Alive"] for one in self._cluster.global_state.node_table())

    @staticmethod
    def _raylet(node: Any) -> int:
        return int(node.all_processes["raylet"][0].process.pid)


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
    serve(json.loads(sys.argv[1]))
