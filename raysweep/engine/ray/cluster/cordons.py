"""Which nodes are cordoned: they get no new work, since they lack room or differ from the process of the command.

node_watch.py decides it in the process of the command and writes it into Ray's key-value store. All processes of the
sweep read it there: what they ask Ray for excludes these nodes by their ids. An attempt during which a node was
cordoned is no failed attempt.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from raysweep.engine.attempts import is_retryable
from raysweep.errors import RaysweepError, Stopped

NODE_LABEL = "ray.io/node-id"
"""Label with a node's id, which Ray gives to every node."""
LOOK_SECONDS = 5.0
"""Between two looks at the nodes, and how long they have to answer."""
LOOKS_SECONDS = 4 * LOOK_SECONDS
"""Limit for a wait until the nodes were looked at twice."""
CHECK_SECONDS = 150.0
"""Limit for a process's wait until its node, which has joined late, is checked."""
POLL_SECONDS = 0.5
NAMESPACE = b"raysweep"


class Cordoned(RaysweepError):
    """A node was cordoned during an attempt, which begins again; that is no failed attempt."""

    counts = False


@dataclass(frozen=True)
class Cordons:
    """What is known of the nodes. `looks`: number of looks at them until now; 0: nobody watches them.

    `checked`: ids of those that are like the command's; `reasons`: why nodes are cordoned, by their ids; `since`: the
    number of the look that cordoned them.
    """

    looks: int = 0
    checked: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    since: Mapping[str, int] = field(default_factory=dict)

    def write(self) -> None:
        from ray.experimental.internal_kv import _internal_kv_put

        _internal_kv_put(_key(), json.dumps(dataclasses.asdict(self)).encode(), overwrite=True, namespace=NAMESPACE)


def read_cordons() -> Cordons:
    """Return no cordons where nobody watches the nodes, as on a Ray of raysweep's own, or where Ray doesn't answer."""
    from ray.experimental.internal_kv import _internal_kv_get

    with contextlib.suppress(Exception):
        return Cordons(**json.loads(_internal_kv_get(_key(), namespace=NAMESPACE)))
    return Cordons()


def outside_cordons(labels: Mapping[str, str], others: Iterable[str] = ()) -> dict[str, str]:
    """Return a label selector that also excludes the cordoned nodes. `others`: ids of further nodes to exclude."""
    excluded = sorted({*read_cordons().reasons, *others})
    return {**labels, NODE_LABEL: f"!in({','.join(excluded)})"} if excluded else dict(labels)


def require_checked() -> None:
    """Wait until this process's node, which may have joined late, is checked; raise Cordoned if it is cordoned."""
    import ray

    node, limit = ray.get_runtime_context().get_node_id(), time.monotonic() + CHECK_SECONDS
    while (cordons := read_cordons()).looks and node not in cordons.checked and time.monotonic() < limit:
        if node in cordons.reasons:
            raise Cordoned(cordons.reasons[node])
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def excusing_cordons() -> Iterator[None]:
    """Raise Cordoned for a retryable error of work during which a node was cordoned, and still is at the next look."""
    first = read_cordons().looks
    try:
        yield
    except Exception as error:
        if isinstance(error, Stopped) or not is_retryable(error):
            raise
        cordons = fresh_cordons()
        new = [cordons.reasons[node] for node, since in cordons.since.items() if since > first]
        if new:
            raise Cordoned(new[0]) from error
        raise


def fresh_cordons() -> Cordons:
    """Return the cordons after a look at the nodes that begins from now on, such as after a process has died."""
    cordons = read_cordons()
    latest, limit = cordons.looks + 2, time.monotonic() + LOOKS_SECONDS
    while 0 < cordons.looks < latest and time.monotonic() < limit:
        time.sleep(POLL_SECONDS)
        cordons = read_cordons()
    return cordons


def _key() -> bytes:
    import ray

    return f"cordons-{ray.get_runtime_context().get_job_id()}".encode()
