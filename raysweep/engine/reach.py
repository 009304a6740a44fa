"""Does a Ray answer at an address, and is it one that this process can join? Known within seconds.

`ray.init` tries an address that nobody answers for minutes, with a warning a second. So the cluster's control service
(GCS) is asked first, through gRPC, where a deadline holds for names that don't resolve, ports that are closed or
silent, and services that aren't Ray; TLS and tokens are handled as `ray.init` does.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import dataclass, replace
from typing import Any

from raysweep.errors import UsageError

SECONDS = 5.0
_PLACE = "give host:port of its control service (6379 unless chosen otherwise; not the dashboard's 8265)"
_ALIVE = 0  # GcsNodeInfo.GcsNodeState


@dataclass(frozen=True)
class Reach:
    """What an address led to. `problem`: why no sweep can run there, empty if one can; `advice`: the way out."""

    asked: str  # auto, host:port
    address: str = ""  # host:port; empty when `asked` led to none
    ray: str = ""  # versions there
    python: str = ""
    nodes: int = 0
    cpus: float = 0.0
    gpus: float = 0.0
    problem: str = ""
    advice: str = ""


def reach(address: str, timeout: float = SECONDS) -> Reach:
    """Ask for the Ray at an address, as `ray.init` would understand it; `auto` looks at RAY_ADDRESS and this machine.

    Args:
        address: auto, or host:port.
        timeout: seconds that all questions together may take.
    """
    named = os.environ.get("RAY_ADDRESS") or address if address == "auto" else address
    if "://" in named:
        problem = f"{named!r} is not an address that a sweep can run at"
        return Reach(address, problem=problem, advice=_advice_on_scheme(named))
    try:
        place = _resolve(named)
    except (ConnectionError, ValueError) as error:
        return _unresolved(named, error)
    if place is None:
        advice = "leave it out, and raysweep starts a Ray of its own"
        return Reach(address, problem=f"{named!r} names no running Ray", advice=advice)
    return _ask(address, place, time.monotonic() + timeout)


def require_reachable(address: str, timeout: float = SECONDS) -> Reach:
    """Return what answers at an address; raise UsageError when nothing does, or nothing that this process can join."""
    found = reach(address, timeout)
    if found.problem:
        raise UsageError(f"{found.problem}; {found.advice}")
    return found


def mismatch(ray: str, python: str) -> str:
    """Say how a cluster's versions differ from ours where Ray refuses that; empty when it doesn't."""
    import ray as own

    if ray != own.__version__:
        return f"it runs Ray {ray}, and this is Ray {own.__version__}"
    level = 2 if os.environ.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL") == "minor" else 3
    if python.split(".")[:level] != platform.python_version().split(".")[:level]:
        return f"it runs Python {python}, and this is Python {platform.python_version()}"
    return ""


def _resolve(address: str) -> str | None:
    from ray._private.services import canonicalize_bootstrap_address

    found: str | None = canonicalize_bootstrap_address(address)
    if found is not None and not found.rpartition(":")[2].isdigit():
        raise ValueError(f"{found} has no port")
    return found


def _advice_on_scheme(address: str) -> str:
    inside = "run raysweep inside the cluster: on its head node with --address auto, or through `ray job submit`"
    return f"Ray Client can't carry a sweep; {inside}" if address.startswith("ray://") else f"{_PLACE}, or {inside}"


def _unresolved(address: str, error: Exception) -> Reach:
    if address == "auto" and isinstance(error, ConnectionError):
        advice = "start one with `ray start --head`, or leave the address out: raysweep then starts its own"
        return Reach(address, problem="no Ray runs on this machine", advice=advice)
    return Reach(address, problem=f"{address!r} is no address", advice=f"{_PLACE}, or auto")


def _ask(asked: str, address: str, deadline: float) -> Reach:
    import grpc  # type: ignore[import-untyped]
    from ray._private.grpc_utils import init_grpc_channel
    from ray._private.ray_constants import GLOBAL_GRPC_OPTIONS
    from ray.exceptions import AuthenticationError

    try:
        with init_grpc_channel(address, options=GLOBAL_GRPC_OPTIONS) as channel:
            return _describe(channel, asked, address, deadline)
    except grpc.RpcError as error:
        return _unanswered(asked, address, error.code().name, error.details() or "")
    except AuthenticationError:  # this process is told to use tokens and has none
        return _locked(asked, address)


def _describe(channel: Any, asked: str, address: str, deadline: float) -> Reach:
    """Ask for versions and nodes; raise grpc.RpcError when one of the questions isn't answered."""
    from ray._common.usage.usage_constants import CLUSTER_METADATA_KEY
    from ray._private.ray_constants import KV_NAMESPACE_CLUSTER
    from ray.core.generated import gcs_service_pb2 as messages
    from ray.core.generated import gcs_service_pb2_grpc as services

    kept = messages.InternalKVGetRequest(namespace=KV_NAMESPACE_CLUSTER, key=CLUSTER_METADATA_KEY)
    answer = services.InternalKVGcsServiceStub(channel).InternalKVGet(kept, timeout=_left(deadline))
    versions = json.loads(answer.value or "{}")
    asking = messages.GetAllNodeInfoRequest()
    every = services.NodeInfoGcsServiceStub(channel).GetAllNodeInfo(asking, timeout=_left(deadline)).node_info_list
    nodes = [node.resources_total for node in every if node.state == _ALIVE]
    ray, python = versions.get("ray_version", "unknown"), versions.get("python_version", "unknown")
    cpus, gpus = (sum(node.get(name, 0.0) for node in nodes) for name in ("CPU", "GPU"))
    found = Reach(asked, address, ray, python, len(nodes), cpus, gpus)
    differs = mismatch(ray, python) if versions else ""
    if not differs:
        return found
    advice = "they must be the same: install raysweep here with the cluster's versions, or use another cluster"
    return replace(found, problem=f"a Ray answers at {address}, but {differs}", advice=advice)


def _unanswered(asked: str, address: str, status: str, details: str) -> Reach:
    """Say why a question wasn't answered; `status` and `details` are gRPC's."""
    if status == "UNAUTHENTICATED":
        return _locked(asked, address)
    why = "no answer in time" if status == "DEADLINE_EXCEEDED" else details.rsplit(": ", 1)[-1].strip("[] ") or status
    place = address if asked == address else f"{address}, where {asked!r} leads"
    return Reach(asked, address, problem=f"no Ray answers at {place}: {why}", advice=f"start it, or {_PLACE}")


def _locked(asked: str, address: str) -> Reach:
    problem = f"the Ray at {address} wants a token, and got none or another"
    advice = "set RAY_AUTH_MODE=token, with the cluster's token in ~/.ray/auth_token or RAY_AUTH_TOKEN"
    return Reach(asked, address, problem=problem, advice=advice)


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
