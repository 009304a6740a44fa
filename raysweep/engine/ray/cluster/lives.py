"""Asks nodes whether processes of theirs live, and marks the activities of those that have died.

The lease of a process that its node calls dead is free at once. Ray's own word on a process or node isn't enough: a
node that Ray can't reach may be at work. Then, and without an answer, nothing is known.
"""

from __future__ import annotations

import functools
import logging
import time
from contextlib import AbstractContextManager
from typing import Any

from raysweep.engine.progress import DIED, RUNNING, ProgressFile, read_activities
from raysweep.engine.ray.cluster.asking import await_answers, on_node
from raysweep.periodic import run_periodically
from raysweep.storage import leases
from raysweep.storage.files import Files
from raysweep.storage.leases import Holder

ANSWER_SECONDS = 8.0
"""How long a node has to answer; it may have to start a process for that."""
AGAIN_SECONDS = 10.0
"""A node that didn't answer isn't asked for so long."""
POLL_SECONDS = 5.0
"""Time between two looks at the activities. One that hasn't changed in between is asked about."""

log = logging.getLogger("raysweep")

_silent: dict[str, float] = {}
"""When nodes didn't answer, by their ids, on the monotonic clock."""


def ask_nodes_for_lives() -> None:
    """From now on have waits of this process for leases ask the nodes of the Ray that it is connected to."""
    leases.has_ended_elsewhere = has_ended


@functools.cache
def _question() -> Any:
    import ray

    question = ray.remote(max_retries=0, name="does a process live")
    # once: Ray sends a function to its nodes each time that it is made remote
    return question(lambda process: (process.is_here, process.is_dead))


def has_ended(process: Holder) -> bool:
    """Return True if a live node of the process's boot and namespace of process ids says that it has ended."""
    import ray

    if not ray.is_initialized():  # the calls below would start one
        return False
    try:
        now = time.monotonic()
        alive = [
            node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeManagerHostname"] == process.host
        ]
        nodes = [node for node in alive if now - _silent.get(node, -AGAIN_SECONDS) >= AGAIN_SECONDS]
        questions = {_question().options(**on_node(node)).remote(process): node for node in nodes}
        answers = await_answers(questions, ANSWER_SECONDS)
    except Exception as error:  # such as a Ray that has ended
        log.debug("whether %s lives is not known: %s", process, error)
        return False
    _silent.update(dict.fromkeys(answers.silent, time.monotonic()))
    are_dead = [is_dead for is_here, is_dead in answers.given.values() if is_here]
    return bool(are_dead) and all(are_dead)


def watch_lives(progress: Files) -> AbstractContextManager[None]:
    """Mark activities whose process has died, until another one goes on with them, while the block runs."""
    watch = LivesWatch(progress)
    return run_periodically(lambda: watch.check(time.monotonic()), POLL_SECONDS, "lives")


class LivesWatch:
    """Looks after processes that report nothing, each at growing distances: after 5, 10, 20 s and so on."""

    def __init__(self, progress: Files) -> None:
        self._progress = progress
        self._since: dict[str, tuple[float, float]] = {}  # the activity's `updated`, and when it was first seen
        self._next: dict[str, float] = {}

    def check(self, now: float) -> None:
        """Look at all activities. `now`: seconds of a monotonic clock."""
        for name, activity in read_activities(self._progress).items():
            updated, since = self._since.get(name, (None, now))
            if updated != activity.updated:
                self._since[name], self._next[name] = (activity.updated, now), now + POLL_SECONDS
            elif activity.state == RUNNING and not activity.has_died and now >= self._next[name]:
                self._next[name] = now + max(POLL_SECONDS, now - since)
                if leases.has_ended(activity.owner):
                    ProgressFile(self._progress, name).exchange(DIED, activity.process)
