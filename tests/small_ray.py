"""A small Ray of this machine in a process of its own: one for all tests of a process that can share it.

Tests add nodes to it and remove them. Accelerators are only counted. Its workers have the package of tests/plugin.

Run as a program it takes a folder for Ray's files and, as JSON, what its head gets. It prints one JSON line with its
addresses once it is up, one for each order on stdin (see `serve`), and ends with stdin.
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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.behaviour.chaos.processes import ProcessTree
from tests.paths import REPO
from tests.patience import eventually
from tests.plugin import link

CPUS, GPUS = 2, 1  # the GPU is pretended
HEAD: dict[str, Any] = {"num_cpus": CPUS, "num_gpus": GPUS, "object_store_memory": 300 * 2**20}
NODE: dict[str, Any] = {"num_cpus": 2, "object_store_memory": 100 * 2**20}
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Node:
    """A node beside the head. `raylet`: the id of the process above all others of the node."""

    id: str
    raylet: int


@dataclass(frozen=True)
class SmallRay:
    """The Ray, seen from outside.

    `url`: of its dashboard, which takes jobs; `folder`: for its files and a test's; `process`: above all others of it.
    """

    address: str
    url: str
    folder: Path
    process: subprocess.Popen[str]

    @property
    def environment(self) -> dict[str, str]:
        """Of the Ray and of those who connect or submit to it."""
        return environment_in(self.folder)

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
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps([what, given]), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, f"the Ray has ended, and can't {what} a node"
        return json.loads(line)


def environment_in(folder: Path) -> dict[str, str]:
    """Return the environment of a Ray with this folder."""
    kept = {name: v for name, v in os.environ.items() if name not in ("RAY_ADDRESS", "RAYSWEEP_STORAGE")}
    own = {"RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    own |= {"RAYSWEEP_CACHE": str(folder / "cache"), "RAYSWEEP_EXTRA_FOLDER": str(folder / "notes")}
    own["PYTHONPATH"] = os.pathsep.join([str(folder / "plugin"), *os.environ.get("PYTHONPATH", "").split(":")])
    own["HF_HUB_OFFLINE"] = "1"
    own["RAY_metrics_report_interval_ms"] = "1000"  # tests would wait for ten seconds
    own["RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S"] = "0.5"  # and for five
    return {**kept, **own, "PATH": f"{BIN}:{os.environ['PATH']}"}  # a job's commands are looked for there


@contextlib.contextmanager
def small_ray(environment: Mapping[str, str] | None = None, **head: Any) -> Iterator[SmallRay]:
    """Start the Ray for the length of the block; every process that it started is ended with it.

    `environment`: further variables for it; `head`: what its head gets beside or instead of `HEAD`.
    """
    folder = Path(tempfile.mkdtemp(prefix="rs-", dir="/tmp"))  # AF_UNIX paths must stay short
    link(folder / "plugin")
    (folder / "notes").mkdir()
    (folder / "ray").mkdir()  # Ray writes a file there and does not make the folder
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.small_ray", json.dumps({**HEAD, **head})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**environment_in(folder), **(environment or {})},
        cwd=REPO,
        start_new_session=True,  # Ray's reaper kills its whole process group
        text=True,
    )
    tree = ProcessTree()
    tree.add_root(process.pid)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "Ray didn't start"
        yield SmallRay(**json.loads(line), folder=folder, process=process)
    finally:
        tree.look()
        tree.kill_all()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


class KeptRay:
    """A small Ray that is started when it is first asked for, and then kept until its end is asked for.

    `environment`: further variables for it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._ray: SmallRay | None = None
        self._ends = contextlib.ExitStack()

    def running(self) -> SmallRay:
        """Return the Ray; start it if it isn't running."""
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
        initialize_head=True, head_node_args={"dashboard_port": port, "dashboard_agent_listen_port": 0, **head}
    )
    print(json.dumps({"address": cluster.address, "url": f"http://127.0.0.1:{port}"}), file=answers, flush=True)
    added: dict[str, Any] = {}

    def is_gone(node: str) -> bool:
        return not any(one["NodeID"] == node and one["Alive"] for one in cluster.global_state.node_table())

    for line in sys.stdin:
        what, given = json.loads(line)
        answer = {}
        if what == "add":
            node = cluster.add_node(**given)
            answer = {"id": node.node_id, "raylet": node.all_processes["raylet"][0].process.pid}
            added[node.node_id] = node
        elif given in added:
            _end(cluster, added.pop(given), in_order=what == "remove")
        if what == "remove":
            assert eventually(lambda: is_gone(given)), "Ray takes the node for alive"
        print(json.dumps(answer), file=answers, flush=True)


def _end(cluster: Any, node: Any, *, in_order: bool) -> None:
    """End a node's processes; return once they are gone."""
    tree = ProcessTree()
    tree.add_root(node.all_processes["raylet"][0].process.pid)
    tree.look()
    cluster.remove_node(node, allow_graceful=in_order)
    tree.kill_all()


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
