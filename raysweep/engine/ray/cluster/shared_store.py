"""Checks before work starts that every node reaches the store, and that the nodes' clocks agree."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping

from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.ray.cluster.asking import ask_nodes, first_nodes, node_name
from raysweep.errors import UsageError
from raysweep.storage.files import Files

log = logging.getLogger("raysweep")

MOST_SKEW = 5.0
"""Seconds by which a node's clock may differ from this process's without a warning."""
FOLDER = "unfinished/nodes"
"""In the store; `raysweep gc` removes what a killed process leaves there."""
COMMAND_FILE = "of-the-command"
"""The file that this process writes; a node writes one with its id as name."""


def require_shared_store(nodes: Mapping[str, NodeFacts], store: Files, *, allow_mixed: bool) -> None:
    """Have each node read what this process wrote into the store, and write what this process reads then.

    A clock that differs by more than `MOST_SKEW` is a warning. `store`: its root, which exists. `allow_mixed`: whether
    nodes that don't answer may be used (`ask_nodes`).

    Raises:
        UsageError: a node doesn't see this process's file, or can't write; the store can't be written here.
    """
    below, token = f"{FOLDER}/{uuid.uuid4().hex}", uuid.uuid4().hex
    root = store.root

    def there() -> tuple[str, float]:  # a local function is sent as it is, so a node needs no raysweep to run it
        import ray

        try:
            from raysweep.storage.files import Files

            files = Files(root, below, expected=True)
            if files.read(COMMAND_FILE, patient=False) is None:
                return "it doesn't see the file that this machine wrote", time.time()
            files.write(ray.get_runtime_context().get_node_id(), token, patient=False)
        except Exception as error:
            return " ".join(str(error).split()), time.time()
        return "", time.time()

    files = store.below(below)
    files.write(COMMAND_FILE, token)
    try:
        began = time.time()
        answers = ask_nodes(nodes, there, "the store", allow_silent=allow_mixed)
        ended = time.time()
        problems: dict[str, list[str]] = {}
        for node, (problem, _) in answers.items():
            if problem or files.read(node) != token.encode():
                problem = problem or "this machine doesn't see the file that it wrote"
                problems.setdefault(problem, []).append(node_name(node, nodes[node]))
    finally:
        files.remove_folder()
    if problems:
        listed = "; ".join(f"{first_nodes(sorted(names))}: {problem}" for problem, names in problems.items())
        raise UsageError(
            f"not every node reaches the storage {store}: {listed}; name a folder on a disk that all of them mount at "
            "this path, or an object store (s3://bucket/folder)"
        )
    skews = {node: max(clock - ended, min(clock - began, 0.0)) for node, (_, clock) in answers.items()}
    far = [f"{node_name(node, nodes[node])} by {skew:+.0f} s" for node, skew in skews.items() if abs(skew) > MOST_SKEW]
    if far:
        log.warning("clocks differ from the one here: %s; times of lines are those of this machine", first_nodes(far))
