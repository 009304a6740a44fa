"""Watches for the announced end of this machine, as spot machines have one, and drains its node of Ray then."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
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
        UsageError: the provider isn't known or its metadata server doesn't answer; no Ray runs on this machine, or no
            head of those that do lets this process in.
    """
    from raysweep.engine.ray.cluster.local_nodes import local_nodes
    from raysweep.engine.ray.cluster.providers import provider_named

    metadata = provider_named(provider)
    nodes = list(local_nodes())
    if not nodes:
        raise UsageError("no node of Ray runs on this machine; give `ray start` first, then `raysweep watch-spot`")
    nodes, refusals = _reachable(nodes)  # not so without the token of its Ray, which would else be told with the notice
    if not nodes:
        raise refusals[0]
    metadata.require_answer()
    for refusal in refusals:  # such as of a Ray in a container, whose processes this machine shows and whose ports not
        _tell(f"leaves a node alone: {refusal}")
    _tell(f"asks {metadata.server} whether {', '.join(f'node {node.id[:8]}' for node in nodes)} is taken away")
    drain_when_announced(metadata, nodes)
    _tell("the node has ended")


def drain_when_announced(metadata: Provider, nodes: Sequence[LocalNode]) -> None:
    """Ask again and again until all nodes have ended; what fails is logged and tried again, for each node by itself.

    An announced end that is before the one that Ray knows is announced too, such as a reclaim during maintenance.
    """
    until, told = dict.fromkeys(nodes, float("inf")), ""
    while up := [node for node in nodes if node.is_up]:
        trouble = "; ".join(dict.fromkeys(_drain(metadata, up, until)))
        if trouble != told:
            _tell(f"{trouble}; asks again every {POLL_SECONDS:g} s" if trouble else "nothing fails any more")
            told = trouble
        time.sleep(POLL_SECONDS)


def _reachable(nodes: Sequence[LocalNode]) -> tuple[list[LocalNode], list[UsageError]]:
    """Return the nodes whose head lets this process in, and why the others' don't."""
    from raysweep.engine.ray.cluster.probe import require_reachable

    reachable, refusals = [], []
    for node in nodes:
        try:
            require_reachable(node.head)
            reachable.append(node)
        except UsageError as error:
            refusals.append(error)
    return reachable, refusals


def _drain(metadata: Provider, nodes: Sequence[LocalNode], until: dict[LocalNode, float]) -> Iterator[str]:
    """Drain nodes whose announced end is before the one in `until`, which is changed; yield what failed."""
    try:
        announced = metadata.announced()
    except RaysweepError as error:
        yield str(error)
        return
    for node in nodes:
        if announced is None or announced.until >= until[node]:
            continue
        try:
            node.drain(announced.until, announced.what)
        except RaysweepError as error:
            yield str(error)
            continue
        until[node] = announced.until
        left = max(0.0, announced.until - time.time())
        _tell(f"{announced.what}: drained node {node.id[:8]}, {left:.0f} s left")


def _tell(text: str) -> None:
    """Log with the time: this log is read after the machine has gone."""
    log.info("%s %s", time.strftime("%Y-%m-%d %H:%M:%S"), text)
