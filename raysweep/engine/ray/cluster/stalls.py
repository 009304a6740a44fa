"""Reports which resources a waiting sweep lacks; Ray itself waits silently and for ever."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from raysweep.engine.attempts import run_periodically
from raysweep.engine.progress import RUNNING, Activity, read_activities
from raysweep.engine.ray.cluster.nodes import cluster_status
from raysweep.storage.files import Files
from raysweep.units import duration, size

log = logging.getLogger("raysweep")

QUIET_SECONDS = 120.0
"""A wait of one task, or of a sweep without any progress, is reported after so long."""
POLL_SECONDS = 15.0
IN_GROUP = re.compile(r"_group(_\d+)?_[0-9a-f]{36}$")
"""How the names end by which Ray counts what a placement group has taken of a node: ``CPU_group_0_3f4e...``."""


def watch_stalls(progress: Files) -> AbstractContextManager[None]:
    """Log waits of some minutes and the missing resources while the block runs.

    Args:
        progress: the sweep's folder of progress files.
    """
    detector = StallDetector()

    def check() -> None:
        for line in detector.check(read_activities(progress), time.monotonic()):
            log.warning("%s", line)

    return run_periodically(check, POLL_SECONDS, "stalls")


class StallDetector:
    """Follows the waits of a sweep's tasks; reports each once, and again after ten times as long."""

    def __init__(self) -> None:
        self._updates: Mapping[str, float] = {}
        self._last_progress = time.monotonic()
        self._since: dict[tuple[str, str], float] = {}  # (activity, awaited resource) -> start of the wait
        self._reported: dict[tuple[str, str], float] = {}

    def check(self, activities: Mapping[str, Activity], now: float) -> list[str]:
        """Return a line for each wait that is due for a report. `now`: seconds of a monotonic clock."""
        updates = {name: activity.updated for name, activity in activities.items() if not activity.waits}
        if updates != self._updates:
            self._updates, self._last_progress = updates, now
        waiting = {(a.id, a.waits) for a in activities.values() if a.waits and a.state == RUNNING}
        idle = not any(a.state == RUNNING for a in activities.values())
        if idle and now - self._last_progress > QUIET_SECONDS:
            waiting = {("the sweep", "resources for its next task")}
        self._since = {wait: self._since.get(wait, now) for wait in waiting}
        lines = []
        for (name, resource), since in self._since.items():
            if now - since >= max(QUIET_SECONDS, 10 * self._reported.get((name, resource), 0.0)):
                self._reported[name, resource] = now - since
                lines.append(f"{name} has waited {duration(now - since)} for {resource}{_demands()}")
        return lines


def _demands() -> str:
    """Describe the requests that Ray can't place now, and the free resources; empty if they are unknown."""
    try:
        pending, free, never = _state()
    except Exception:  # the cluster has another version, or has ended; the wait itself is still reported
        return ""
    unplaced, hopeless = "; ".join(pending) or "nothing", "; ".join(never)
    text = f". Ray can't place: {unplaced}. Free: {'; '.join(free) or 'nothing'}"
    return text + (f". Its autoscaler has no nodes to start for: {hopeless}" if hopeless else "")


def _state() -> tuple[list[str], list[str], list[str]]:
    """Return the requests that wait, the free resources of each node, and what no autoscaler helps, in words."""
    import ray

    if not ray.is_initialized():  # the calls below would start one
        return [], [], []
    status = cluster_status()
    state, scaling = status.cluster_resource_state, status.autoscaling_state
    pending = [f"{entry.count} x {_request(entry.request)}" for entry in state.pending_resource_requests]
    pending += [_together(group) for group in state.pending_gang_resource_requests]
    free = [f"{node.node_ip_address}: {_amounts(node.available_resources)}" for node in state.node_states]
    never = [_request(request) for request in scaling.infeasible_resource_requests]
    never += [_together(group) for group in scaling.infeasible_gang_resource_requests]
    return pending, free, list(dict.fromkeys(never))


def _request(request: Any) -> str:
    return f"{_amounts(request.resources_bundle)}{_labels(request.label_selectors)}"


def _together(group: Any) -> str:
    parts = [request for selector in group.bundle_selectors for request in selector.resource_requests]
    return f"together {' + '.join(map(_request, parts or group.requests))}"


def _amounts(resources: Mapping[str, float]) -> str:
    """Return amounts in words, without those that every node has and those of placement groups."""
    left_out = ("node:", "object_store")
    shown = {name: n for name, n in resources.items() if not name.startswith(left_out) and not IN_GROUP.search(name)}
    parts = (size(v) if name == "memory" else f"{v:g} {name}" for name, v in sorted(shown.items()))
    return ", ".join(parts) or "nothing"


def _labels(selectors: Any) -> str:
    parts = [
        f"{constraint.label_key}={','.join(constraint.label_values)}"
        for selector in selectors
        for constraint in selector.label_constraints
    ]
    return f" on nodes with {' and '.join(parts)}" if parts else ""
