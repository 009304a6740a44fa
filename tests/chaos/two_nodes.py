"""A Ray of a head without CPUs and two nodes on this machine, in a process of its own; a node can be taken away.

Run as a program it prints one JSON line with address and raylets once it is up, and one after every line on stdin,
which is the pid of a raylet whose node goes. With the argument "replaced" another node joins then. It ends with stdin.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.processes import ProcessTree, Seen
from tests.paths import REPO

NODE: dict[str, Any] = {"object_store_memory": 100 * 2**20, "include_dashboard": False}
NODE_CPUS = 2


@dataclass
class TwoNodes:
    """The cluster, seen from outside. `raylets`: pids, of the nodes there are; `removed`: of those that are gone."""

    process: subprocess.Popen[str]
    address: str
    raylets: list[int]
    removed: list[int] = field(default_factory=list)

    def remove_node_of(self, seen: Seen) -> None:
        """Take away the node that a process runs on; raise psutil.NoSuchProcess when it runs on none of them."""
        above = [parent.pid for parent in seen.process.parents()]
        raylet = next((pid for pid in self.raylets if pid in above), None)
        if raylet is None:
            raise psutil.NoSuchProcess(seen.process.pid)
        assert self.process.stdin is not None
        self.process.stdin.write(f"{raylet}\n")
        self.process.stdin.flush()
        self.removed.append(raylet)
        self.raylets = _answer(self.process)["raylets"]


@contextlib.contextmanager
def two_nodes(log: Path, *, replaced: bool = False) -> Iterator[TwoNodes]:
    """Start the cluster for the length of the block; everything it started is ended with it.

    Args:
        log: where Ray's output goes.
        replaced: another node joins when one is removed.
    """
    folder = tempfile.mkdtemp(prefix="rs-n-", dir="/tmp")  # AF_UNIX paths must stay short
    (Path(folder) / "ray").mkdir()  # Ray writes a file there and does not make the folder
    own = {"RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", "RAY_TMPDIR": folder, "HF_HUB_OFFLINE": "1"}
    tree = ProcessTree()
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.two_nodes", *(["replaced"] if replaced else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **own},
            cwd=REPO,
            start_new_session=True,  # Ray's reaper kills its whole process group
        )
    tree.add_root(process.pid)
    try:
        yield TwoNodes(process, **_answer(process))
    finally:
        tree.look()
        tree.kill_all()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def serve(*, replaced: bool) -> None:
    """Start the cluster, tell its address, and remove nodes as asked."""
    from ray.cluster_utils import Cluster

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever Ray prints is no answer
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **NODE})
    nodes: dict[int, Any] = {}

    def add() -> None:
        node = cluster.add_node(num_cpus=NODE_CPUS, **NODE)
        nodes[node.all_processes["raylet"][0].process.pid] = node

    def answer() -> None:
        print(json.dumps({"address": cluster.address, "raylets": list(nodes)}), file=answers, flush=True)

    add()
    add()
    answer()
    for line in sys.stdin:
        cluster.remove_node(nodes.pop(int(line)), allow_graceful=False)
        if replaced:
            add()
        answer()


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the simulated cluster ended; see its log")
    return dict(json.loads(line))


if __name__ == "__main__":
    serve(replaced="replaced" in sys.argv[1:])
