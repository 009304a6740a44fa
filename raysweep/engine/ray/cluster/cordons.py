"""Which nodes are cordoned: they get no new work, since they lack room or differ from the process of the command.

node_watch.py decides it in the process of the command and writes it into Ray's key-value store. All processes of the
sweep read it there: what they ask Ray for excludes these nodes by their ids, and a process that starts on one of them
ends. An attempt during which a node was cordoned for lack of room is no failed attempt, a few times.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from raysweep.engine.attempts import is_retryable
from raysweep.engine.progress import ProgressFile
from raysweep.errors import RaysweepError, Stopped

log = logging.getLogger("raysweep")

NODE_LABEL = "ray.io/node-id"
"""Label with a node's id, which Ray gives to every node."""
LOOK_SECONDS = 3.0
"""Between two looks at the nodes, and how long they have to answer."""
FRESH_SECONDS = 6 * LOOK_SECONDS
"""Limit for a wait until the nodes were looked at twice."""
MOST_EXCUSES = 10
"""Most attempts of a task that cordons excuse."""
LEFT = 71
"""Exit code of a process that ends since its node is cordoned, so that Ray starts it on another one."""
CHECK_SECONDS = 150.0
"""Limit for a process's wait until its node, which has joined late, is checked."""
POLL_SECONDS = 0.5
NAMESPACE = b"raysweep"
Value = TypeVar("Value")


class Excused(RaysweepError):
    """A node was cordoned or drained during an attempt, which begins again; that is no failed attempt."""

    counts = False


@dataclass(frozen=True)
class Cordon:
    """Why a node gets no work. `look`: the number of the look that cordoned it for lack of room; 0: it differs."""

    reason: str
    look: int = 0


@dataclass(frozen=True)
class Cordons:
    """What is known of the nodes. `looks`: number of looks at them until now; 0: nobody watches them.

    `checked`: ids of those that are like the command's; `by_node`: the cordons by the nodes' ids.
    """

    looks: int = 0
    checked: tuple[str, ...] = ()
    by_node: Mapping[str, Cordon] = field(default_factory=dict)

    @property
    def for_room(self) -> dict[str, Cordon]:
        """Those for lack of room."""
        return {node: cordon for node, cordon in self.by_node.items() if cordon.look}

    def write(self) -> None:
        _write("cordons", self)


def read_cordons() -> Cordons:
    """Return no cordons where nobody watches the nodes, as on a Ray of raysweep's own, or where Ray doesn't answer."""
    return _read("cordons", Cordons())


def requested_look() -> int:
    """Return the number of the last look at which a process of the sweep wants all nodes to be asked; 0: none."""
    return _read("requested look", 0)


def outside_cordons(labels: Mapping[str, str], others: Iterable[str] = ()) -> dict[str, str]:
    """Return a label selector that also excludes the cordoned nodes. `others`: ids of further nodes to exclude."""
    excluded = sorted({*read_cordons().by_node, *others})
    return {**labels, NODE_LABEL: f"!in({','.join(excluded)})"} if excluded else dict(labels)


def require_open_node() -> None:
    """Wait until this process's node, which may have joined late, is checked; raise Excused if it is cordoned."""
    node, limit = own_node(), time.monotonic() + CHECK_SECONDS
    while (cordons := read_cordons()).looks:
        if node in cordons.by_node:
            raise Excused(cordons.by_node[node].reason)
        if node in cordons.checked or time.monotonic() > limit:
            return
        time.sleep(POLL_SECONDS)


def leave_cordoned_node() -> None:
    """Do as `require_open_node`, but end this process if its node is cordoned: Ray starts it again, on another one."""
    try:
        require_open_node()
    except Excused as error:
        log.debug("%s", error)
        time.sleep(LOOK_SECONDS)  # Ray may start it here again, which shouldn't be done in a hurry
        os._exit(LEFT)


def own_node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


@contextlib.contextmanager
def excusing_cordons(progress: ProgressFile, *, is_here: bool) -> Iterator[None]:
    """Raise Excused for a retryable error of work during which a node was cordoned for lack of room, and still is.

    `is_here`: this process did the work itself. It ends if its own node is cordoned, and goes on on another one.
    """
    first = read_cordons().looks
    try:
        yield
    except Exception as error:
        if isinstance(error, Stopped) or not is_retryable(error):
            raise
        cordons = fresh_cordons().for_room
        if is_here and (own := cordons.get(own_node())):
            progress.note(own.reason)
            os._exit(LEFT)
        new = [cordon.reason for cordon in cordons.values() if cordon.look > first]
        if new and progress.count("cordons") <= MOST_EXCUSES:
            raise Excused(new[0]) from error
        raise


def fresh_cordons() -> Cordons:
    """Return the cordons after a look at the nodes that begins from now on, such as after a process has died."""
    cordons = read_cordons()
    latest, limit = cordons.looks + 2, time.monotonic() + FRESH_SECONDS
    if len(cordons.checked) > 1:
        _write("requested look", latest)
    while len(cordons.checked) > 1 and cordons.looks < latest and time.monotonic() < limit:
        time.sleep(POLL_SECONDS)
        cordons = read_cordons()
    return cordons


def _write(name: str, value: object) -> None:
    from ray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(_key(name), pickle.dumps(value), overwrite=True, namespace=NAMESPACE)


def _read(name: str, default: Value) -> Value:
    import ray
    from ray.experimental.internal_kv import _internal_kv_get

    pickled = None
    with contextlib.suppress(ray.exceptions.RayError):
        pickled = _internal_kv_get(_key(name), namespace=NAMESPACE) if ray.is_initialized() else None
    return pickle.loads(pickled) if pickled else default


def _key(name: str) -> bytes:
    import ray

    return f"{name}-{ray.get_runtime_context().get_job_id()}".encode()
