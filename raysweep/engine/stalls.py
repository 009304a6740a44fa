"""Says what a sweep waits for when nothing moves: Ray waits silently, and for ever."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager

from raysweep.background import repeated
from raysweep.progress import RUNNING, Activity, read_activities
from raysweep.storage.files import Files
from raysweep.terminal import duration, size

log = logging.getLogger("raysweep")

QUIET_SECONDS = 120.0
"""Without news from any part, or with one that waits, for so long, what is waited for is told."""
LOOK_SECONDS = 15.0


def told(progress: Files) -> AbstractContextManager[None]:
    """Log, while the block runs, what a sweep waits for that has made no progress for some minutes.

    Args:
        progress: the folder of its progress files.
    """
    waits = Waits()

    def look() -> None:
        for line in waits.look(read_activities(progress), time.monotonic()):
            log.warning("%s", line)

    return repeated(look, LOOK_SECONDS, "stalls")


class Waits:
    """What moved when; tells of a wait once, and again after ten times as long."""

    def __init__(self) -> None:
        self._news: Mapping[str, float] = {}
        self._moved = time.monotonic()
        self._since: dict[tuple[str, str], float] = {}  # (activity, what it waits for) -> when it began
        self._told: dict[tuple[str, str], float] = {}

    def look(self, activities: Mapping[str, Activity], now: float) -> list[str]:
        """Return the lines to tell. `now`: by a clock that only moves on, in seconds."""
        news = {name: activity.updated for name, activity in activities.items() if not activity.waits}
        if news != self._news:
            self._news, self._moved = news, now
        waiting = {(a.id, a.waits) for a in activities.values() if a.waits and a.state == RUNNING}
        idle = not any(a.state == RUNNING for a in activities.values())
        if idle and now - self._moved > QUIET_SECONDS:
            waiting = {("the sweep", "a place for its next part")}
        self._since = {wait: self._since.get(wait, now) for wait in waiting}
        lines = []
        for (name, what), since in self._since.items():
            if now - since >= max(QUIET_SECONDS, 10 * self._told.get((name, what), 0.0)):
                self._told[name, what] = now - since
                lines.append(f"{name} has waited {duration(now - since)} for {what}{_demands()}")
        return lines


def _demands() -> str:
    """Say what Ray can't place at the moment, and what is free; empty when nothing is known."""
    try:
        pending, free = _state()
    except Exception:  # a cluster of another version, or none any more: the wait itself is told
        return ""
    wanted = "; ".join(pending) or "nothing"
    return f". Ray can't place: {wanted}. Free: {'; '.join(free) or 'nothing'}"


def _state() -> tuple[list[str], list[str]]:
    import ray

    if not ray.is_initialized():  # asking would start one
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
    found = [
        f"{constraint.label_key}={','.join(constraint.label_values)}"
        for selector in selectors  # type: ignore[attr-defined]
        for constraint in selector.label_constraints
    ]
    return f" on nodes with {' and '.join(found)}" if found else ""
