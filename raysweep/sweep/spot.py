"""Watches for the announced end of this machine, as spot machines have one, and drains its node of Ray then."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from raysweep.errors import RaysweepError, UsageError

if TYPE_CHECKING:
    from raysweep.engine.ray.cluster.local_nodes import LocalNode
    from raysweep.engine.ray.cluster.providers import Provider

log = logging.getLogger("raysweep")

POLL_SECONDS = 2.0
"""Of the 30 s of the shortest notice."""


def watch_spot(provider: str) -> None:
    """Drain this machine's node when its provider announces its end; return when the node has ended.

    Raises:
        UsageError: the provider isn't known or its metadata server doesn't answer; no Ray runs on this machine, or its
            head doesn't let this process in.
    """
    from raysweep.engine.ray.cluster.local_nodes import local_nodes
    from raysweep.engine.ray.cluster.probe import require_reachable
    from raysweep.engine.ray.cluster.providers import provider_named

    metadata = provider_named(provider)
    nodes = list(local_nodes())
    if not nodes:
        raise UsageError("no node of Ray runs on this machine; give `ray start` first, then `raysweep watch-spot`")
    for node in nodes:
        require_reachable(node.head)  # such as without the token of its Ray, which would else be told with the notice
    metadata.require_answer()
    _tell(f"asks {metadata.server} whether {', '.join(f'node {node.id[:8]}' for node in nodes)} is taken away")
    drain_when_announced(metadata, nodes)
    _tell("the node has ended")


def drain_when_announced(metadata: Provider, nodes: Sequence[LocalNode]) -> None:
    """Ask again and again until all nodes have ended; what fails is logged and tried again.

    An announced end that is before the one that Ray knows is announced too, such as a reclaim during maintenance.
    """
    until, told = float("inf"), ""
    while any(node.is_up for node in nodes):
        trouble = ""
        try:
            announced = metadata.announced()
            if announced is not None and announced.until < until:
                for node in nodes:
                    node.drain(announced.until, announced.what)
                until = announced.until
                _tell(f"{announced.what}: drained the node, {max(0.0, until - time.time()):.0f} s left")
        except RaysweepError as error:
            trouble = str(error)
        if trouble != told:
            _tell(f"{trouble}; asks again every {POLL_SECONDS:g} s" if trouble else "is answered again")
            told = trouble
        time.sleep(POLL_SECONDS)


def _tell(text: str) -> None:
    """Log with the time: this log is read after the machine has gone."""
    log.info("%s %s", time.strftime("%Y-%m-%d %H:%M:%S"), text)
