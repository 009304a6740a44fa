"""Reports which resources a waiting sweep lacks; Ray itself waits silently and for ever."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from raysweep.engine.progress import RUNNING, Activity, read_activities
from raysweep.engine.ray.cluster.nodes import cluster_status
from raysweep.periodic import run_periodically
from raysweep.storage.files import Files
from raysweep.units import duration, size

log = logging.getLogger("raysweep")

QUIET_SECONDS = 120.0
"""A sweep without any progress, and a wait for what no node has even when it is idle, are reported after so long."""
MOVING_SECONDS = 10 * QUIET_SECONDS
"""A wait of a task while others of its sweep go on is reported after so long; on a small machine waits are normal."""
POLL_SECONDS = 15.0
NOT_IN = 2
"""Ray's number for labels that a node must not have; the other operator names those of which it must have one."""
IN_GROUP = re.compile(r"_group(_\d+)?_[0-9a-f]{36}$")
"""How the names end by which Ray counts what a placement group has taken of a node: ``CPU_group_0_3f4e...``."""


def watch_stalls(progress: Files) -> AbstractContextManager[None]:
    """Log waits of some minutes and the missing resources while the block runs."""
    detector = StallDetector()

    def check() -> None:
        for line in detector.check(read_activities(progress), time.monotonic()):
            log.warning("%s", line)

    return run_periodically(check, POLL_SECONDS, "stalls")


class StallDetector:
    """Follows the waits of a sweep's tasks; reports each once, and again after ten times as long.

    `demands`: returns what Ray's queue holds now, in words, and whether no node could ever hold a part of it.
    """

    def __init__(self, demands: Callable[[], Demands] = lambda: _demands()) -> None:
        self._demands = demands
        self._updates: Mapping[str, float] = {}
        self._last_progress: float | None = None  # of the clock that `check` is told
        self._since: dict[tuple[str, str], float] = {}  # (activity, awaited resource) -> start of the wait
        self._reported: dict[tuple[str, str], float] = {}

    def check(self, activities: Mapping[str, Activity], now: float) -> list[str]:
        """Return a line for each wait that is due for a report. `now`: seconds of a monotonic clock."""
        updates = {name: activity.updated for name, activity in activities.items() if not activity.waits}
        if updates != self._updates or self._last_progress is None:
            self._updates, self._last_progress = updates, now
        waiting = {(a.id, a.waits) for a in activities.values() if a.waits and a.state == RUNNING and not a.has_died}
        idle = not any(a.state == RUNNING for a in activities.values())
        if idle and now - self._last_progress > QUIET_SECONDS:
            waiting = {("the sweep", "resources for its next task")}
        self._since = {wait: self._since.get(wait, now) for wait in waiting}
        moves = now - self._last_progress < QUIET_SECONDS
        lines = []
        for (name, resource), since in self._since.items():
            if now - since < max(QUIET_SECONDS, 10 * self._reported.get((name, resource), 0.0)):
                continue
            demands = self._demands()
            if now - since < MOVING_SECONDS and moves and not demands.are_hopeless:
                continue
            self._reported[name, resource] = now - since
            lines.append(f"{name} has waited {duration(now - since)} for {resource}{demands.text}")
        return lines


@dataclass(frozen=True)
class Demands:
    """What waits in Ray's queue, in words that follow a sentence. `are_hopeless`: no node has what a part asks for."""

    text: str = ""
    are_hopeless: bool = False


def _demands() -> Demands:
    try:
        return demands_of(cluster_status())
    except Exception:  # it has another version, or has ended, or there is none; the wait itself is still reported
        return Demands()


def demands_of(status: Any) -> Demands:
    """Return what waits in Ray's queue, by a `GetClusterStatusReply`, apart from what only waits for its turn."""
    state, scaling = status.cluster_resource_state, status.autoscaling_state
    hopeless: list[str] = []
    queued: list[str] = []
    for entry in state.pending_resource_requests:
        fits = _could_hold(state.node_states, [entry.request])
        (queued if fits else hopeless).append(f"{entry.count} x {_request(entry.request)}")
    for group in state.pending_gang_resource_requests:
        fits = _could_hold(state.node_states, _parts(group))
        (queued if fits else hopeless).append(_together(group))
    free = "; ".join(f"{node.node_ip_address}: {_amounts(node.available_resources)}" for node in state.node_states)
    never = [_request(request) for request in scaling.infeasible_resource_requests]
    never += [_together(group) for group in scaling.infeasible_gang_resource_requests]
    parts = [
        f"Ray can't place: {'; '.join(hopeless)}" if hopeless else "",
        f"Waiting for their turn: {'; '.join(queued)}" if queued else "",
        f"Free: {free or 'nothing'}",
        f"Its autoscaler has no nodes to start for: {'; '.join(dict.fromkeys(never))}" if never else "",
    ]
    return Demands("".join(f". {part}" for part in parts if part), bool(hopeless or never))


def _could_hold(nodes: Sequence[Any], requests: Sequence[Any]) -> bool:
    left = [dict(node.total_resources) for node in nodes]
    for request in sorted(requests, key=lambda one: -sum(one.resources_bundle.values())):
        asked = request.resources_bundle
        constraints = [one for selector in request.label_selectors for one in selector.label_constraints]
        fitting = (
            free
            for node, free in zip(nodes, left, strict=True)
            if all(free.get(name, 0.0) >= amount for name, amount in asked.items())
            and all((node.labels.get(c.label_key) in c.label_values) == (c.operator != NOT_IN) for c in constraints)
        )
        if (free := next(fitting, None)) is None:
            return False
        free.update({name: free[name] - amount for name, amount in asked.items()})
    return True


def _request(request: Any) -> str:
    return f"{_amounts(request.resources_bundle)}{_labels(request.label_selectors)}"


def _together(group: Any) -> str:
    return f"together {' + '.join(map(_request, _parts(group)))}"


def _parts(group: Any) -> Sequence[Any]:
    return [one for selector in group.bundle_selectors for one in selector.resource_requests] or list(group.requests)


def _amounts(resources: Mapping[str, float]) -> str:
    left_out = ("node:", "object_store")
    shown = {name: n for name, n in resources.items() if not name.startswith(left_out) and not IN_GROUP.search(name)}
    parts = (size(v) if name == "memory" else f"{v:g} {name}" for name, v in sorted(shown.items()))
    return ", ".join(parts) or "nothing"


def _labels(selectors: Any) -> str:
    parts = [
        f"{constraint.label_key}{'!=' if constraint.operator == NOT_IN else '='}{','.join(constraint.label_values)}"
        for selector in selectors
        for constraint in selector.label_constraints
    ]
    return f" on nodes with {' and '.join(parts)}" if parts else ""
