"""Reports which resources a waiting sweep lacks; Ray itself waits silently and for ever."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager

from raysweep.engine.attempts import run_periodically
from raysweep.engine.progress import RUNNING, Activity, read_activities
from raysweep.storage.files import Files
from raysweep.units import duration, size

log = logging.getLogger("raysweep")

QUIET_SECONDS = 120.0
"""A wait of one task, or of a sweep without any progress, is reported after so long."""
POLL_SECONDS = 15.0


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
        pending, free = _state()
    except Exception:  # the cluster has another version, or has ended; the wait itself is still reported
        return ""
    unplaced = "; ".join(pending) or "nothing"
    return f". Ray can't place: {unplaced}. Free: {'; '.join(free) or 'nothing'}"


def _state() -> tuple[list[str], list[str]]:
    """Return the requests that wait, and the free resources of each node, in words."""
    import ray

    if not ray.is_initialized():  # the calls below would start one
        return [], []
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.autoscaler.v2.sdk import get_cluster_resource_state

    state = get_cluster_resource_state(GcsClient(ray.get_runtime_context().gcs_address))
    pending = [
        f"{entry.count} x {_amounts(entry.request.resources_bundle)}{_labels(entry.request.label_selectors)}"
        for entry in state.pending_resource_requests
    ]
    for group in state.pending_gang_resource_requests:
        bundles = [entry for selector in group.bundle_selectors for entry in selector.resource_requests]
        parts = (f"{_amounts(entry.resources_bundle)}{_labels(entry.label_selectors)}" for entry in bundles)
        pending.append(f"together {' + '.join(parts)}")
    free = [f"{node.node_ip_address}: {_amounts(node.available_resources)}" for node in state.node_states]
    return pending, free


def _amounts(resources: Mapping[str, float]) -> str:
    shown = {name: amount for name, amount in resources.items() if not name.startswith(("node:", "object_store"))}
    parts = (size(v) if name == "memory" else f"{v:g} {name}" for name, v in sorted(shown.items()))
    return ", ".join(parts) or "nothing"


def _labels(selectors: object) -> str:
    parts = [
        f"{constraint.label_key}={','.join(constraint.label_values)}"
        for selector in selectors  # type: ignore[attr-defined]
        for constraint in selector.label_constraints
    ]
    return f" on nodes with {' and '.join(parts)}" if parts else ""
