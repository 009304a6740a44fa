"""A Ray of a head and several nodes on this machine, in a process of its own; a node can be taken away.

Accelerators are only counted. Run as a program it takes one JSON argument (see `simulated`), and prints one JSON line
with address and raylets once it is up, and one after every line on stdin, which is the pid of a raylet whose node goes.
It ends with stdin.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.behaviour.chaos.processes import ProcessTree, Seen
from tests.paths import REPO

EACH: dict[str, Any] = {"include_dashboard": False}
TWO = ({"num_cpus": 2, "object_store_memory": 100 * 2**20},) * 2


@dataclass
class Nodes:
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
def simulated(
    nodes: Sequence[Mapping[str, Any]],
    log: Path | None = None,
    *,
    head: Mapping[str, Any] | None = None,
    replaced: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Nodes]:
    """Start the cluster for the length of the block; everything it started is ended with it.

    Args:
        nodes: what `ray.cluster_utils.Cluster.add_node` gets for each.
        log: where Ray's output goes; None: to this process's errors.
        head: what the head gets; by default it has no CPUs.
        replaced: an equal node joins when one is removed.
        environment: more of it, for all of Ray's processes.
    """
    folder = tempfile.mkdtemp(prefix="rs-n-", dir="/tmp")  # AF_UNIX paths must stay short
    (Path(folder) / "ray").mkdir()  # Ray writes a file there and does not make the folder
    own = {"RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", "RAY_TMPDIR": folder, "HF_HUB_OFFLINE": "1"}
    asked = {"head": {**TWO[0], "num_cpus": 0, **(head or {})}, "nodes": list(nodes), "replaced": replaced}
    tree = ProcessTree()
    with contextlib.ExitStack() as opened:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.behaviour.chaos.nodes", json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if log is None else opened.enter_context(log.open("a")),
            text=True,
            env={**os.environ, **own, **(environment or {})},
            cwd=REPO,
            start_new_session=True,  # Ray's reaper kills its whole process group
        )
    tree.add_root(process.pid)
    try:
        yield Nodes(process, **_answer(process))
    finally:
        tree.look()
        tree.kill_all()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def serve(head: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]], *, replaced: bool) -> None:
    """Start the cluster, tell its address, and remove nodes as asked."""
    from ray.cluster_utils import Cluster

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever Ray prints is no answer
    cluster = Cluster(initialize_head=True, head_node_args={**head, **EACH})
    up: dict[int, tuple[Any, Mapping[str, Any]]] = {}

    def add(arguments: Mapping[str, Any]) -> None:
        node = cluster.add_node(**arguments, **EACH)
        up[node.all_processes["raylet"][0].process.pid] = node, arguments

    def answer() -> None:
        print(json.dumps({"address": cluster.address, "raylets": list(up)}), file=answers, flush=True)

    for arguments in nodes:
        add(arguments)
    answer()
    for line in sys.stdin:
        node, arguments = up.pop(int(line))
        cluster.remove_node(node, allow_graceful=False)
        if replaced:
            add(arguments)
        answer()


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the simulated cluster ended; see its log")
    return dict(json.loads(line))


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
