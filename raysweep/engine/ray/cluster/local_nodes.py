"""Finds the nodes of Ray that run on this machine, and drains them: announces to Ray that they are taken away.

A drain is what `ray drain-node` does, but needs no connection of a driver, which would start processes of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raysweep.errors import RaysweepError


@dataclass(frozen=True)
class LocalNode:
    """`head`: host:port of its Ray's head; `raylet`: id of the process that ends with the node."""

    id: str
    head: str
    raylet: int

    @property
    def is_up(self) -> bool:
        return _options(self.raylet).get("node_id") == self.id

    def drain(self, until: float, why: str) -> None:
        """Announce that the node is taken away at a time, in seconds since the epoch.

        Raises:
            RaysweepError: Ray's head doesn't answer, or refuses.
        """
        from ray._raylet import GcsClient  # type: ignore[attr-defined]
        from ray.core.generated.autoscaler_pb2 import DRAIN_NODE_REASON_PREEMPTION

        try:
            accepted, refusal = GcsClient(self.head).drain_node(
                self.id, DRAIN_NODE_REASON_PREEMPTION, why, int(until * 1000)
            )
        except Exception as error:  # of many kinds
            raise RaysweepError(f"Ray's head {self.head} doesn't answer ({error})") from error
        if not accepted:
            raise RaysweepError(f"Ray's head {self.head} refuses the drain ({refusal})")


def local_nodes() -> Iterator[LocalNode]:
    """Yield this machine's nodes: one, unless several were started."""
    for path in Path("/proc").glob("[0-9]*"):
        options = _options(int(path.name))
        if "node_id" in options and "gcs-address" in options:
            yield LocalNode(options["node_id"], options["gcs-address"], int(path.name))


def _options(process: int) -> dict[str, str]:
    """Return the options of a raylet; empty if the process is none, or has ended."""
    with contextlib.suppress(OSError):
        program, *words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
        if program.endswith("/raylet"):
            return dict(word.lstrip("-").partition("=")[::2] for word in words)
    return {}
