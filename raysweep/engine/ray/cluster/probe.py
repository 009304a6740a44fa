"""Checks within seconds whether a Ray answers at an address, and whether this process can join it.

Where nothing answers, `ray.init` tries for minutes and logs a warning every second. So this module first queries the
cluster's control service (GCS) through gRPC, whose deadline holds for names that don't resolve, ports that are closed
or silent, and services that aren't Ray. It handles TLS and tokens as `ray.init` does.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import dataclass, replace
from typing import Any

from raysweep.errors import UsageError

TIMEOUT_SECONDS = 5.0
_ADDRESS_HINT = "give host:port of its control service (6379 unless chosen otherwise; not the dashboard's 8265)"
_ALIVE = 0  # GcsNodeInfo.GcsNodeState


@dataclass(frozen=True)
class ProbeResult:
    """The answer of the Ray at an address. `problem`: why no sweep can run there, or ""; `advice`: how to solve it."""

    requested: str  # auto, host:port
    address: str = ""  # host:port; empty if `requested` could not be resolved
    ray: str = ""  # version of the cluster
    python: str = ""
    nodes: int = 0
    cpus: float = 0.0
    gpus: float = 0.0
    problem: str = ""
    advice: str = ""


def probe(address: str, timeout: float = TIMEOUT_SECONDS) -> ProbeResult:
    """`address`: auto (RAY_ADDRESS or this machine) or host:port. `timeout`: in seconds, of all queries together."""
    named = os.environ.get("RAY_ADDRESS") or address if address == "auto" else address
    if "://" in named:
        inside = "run raysweep inside the cluster: on its head node with --address auto, or through `raysweep submit`"
        client = named.startswith("ray://")
        advice = f"Ray Client can't carry a sweep; {inside}" if client else f"{_ADDRESS_HINT}, or {inside}"
        return ProbeResult(address, problem=f"{named!r} is not an address that a sweep can run at", advice=advice)
    try:
        resolved = _resolve(named)
    except (ConnectionError, ValueError) as error:
        if named == "auto" and isinstance(error, ConnectionError):
            advice = "start one with `ray start --head`, or leave the address out: raysweep then starts its own"
            return ProbeResult(named, problem="no Ray runs on this machine", advice=advice)
        return ProbeResult(named, problem=f"{named!r} is no address", advice=f"{_ADDRESS_HINT}, or auto")
    if resolved is None:
        advice = "leave it out, and raysweep starts a Ray of its own"
        return ProbeResult(address, problem=f"{named!r} names no running Ray", advice=advice)
    return _query(address, resolved, time.monotonic() + timeout)


def require_reachable(address: str, timeout: float = TIMEOUT_SECONDS) -> ProbeResult:
    """Return the probe of an address; raise UsageError if no Ray answers there, or none that this process can join."""
    result = probe(address, timeout)
    if result.problem:
        raise UsageError(f"{result.problem}; {result.advice}")
    return result


def mismatch(ray: str, python: str) -> str:
    from ray import __version__

    if ray != __version__:
        return f"it runs Ray {ray}, and this is Ray {__version__}"
    level = 2 if os.environ.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL") == "minor" else 3
    if python.split(".")[:level] != platform.python_version().split(".")[:level]:
        return f"it runs Python {python}, and this is Python {platform.python_version()}"
    return ""


def _resolve(address: str) -> str | None:
    from ray._private.services import canonicalize_bootstrap_address

    resolved: str | None = canonicalize_bootstrap_address(address)
    if resolved is not None and not resolved.rpartition(":")[2].isdigit():
        raise ValueError(f"{resolved} has no port")
    return resolved


def _query(requested: str, address: str, deadline: float) -> ProbeResult:
    import grpc  # type: ignore[import-untyped]
    from ray._private.grpc_utils import init_grpc_channel
    from ray._private.ray_constants import GLOBAL_GRPC_OPTIONS
    from ray.exceptions import AuthenticationError

    try:
        with init_grpc_channel(address, options=GLOBAL_GRPC_OPTIONS) as channel:
            return _describe(channel, requested, address, deadline)
    except grpc.RpcError as error:
        status, said = error.code().name, (error.details() or "").rsplit(": ", 1)[-1].strip("[] ")
    except AuthenticationError:  # this process must use tokens and has none
        status = "UNAUTHENTICATED"
    if status == "UNAUTHENTICATED":
        problem = f"the Ray at {address} wants a token, and got none or a wrong one"
        advice = "set RAY_AUTH_MODE=token, with the cluster's token in ~/.ray/auth_token or RAY_AUTH_TOKEN"
        return ProbeResult(requested, address, problem=problem, advice=advice)
    reason = "no answer in time" if status == "DEADLINE_EXCEEDED" else said or status
    place = address if requested == address else f"{address} (from {requested!r})"
    problem = f"no Ray answers at {place}: {reason}"
    return ProbeResult(requested, address, problem=problem, advice=f"start it, or {_ADDRESS_HINT}")


def _describe(channel: Any, requested: str, address: str, deadline: float) -> ProbeResult:
    from ray._common.usage.usage_constants import CLUSTER_METADATA_KEY
    from ray._private.ray_constants import KV_NAMESPACE_CLUSTER
    from ray.core.generated import gcs_service_pb2 as messages
    from ray.core.generated import gcs_service_pb2_grpc as services

    metadata = messages.InternalKVGetRequest(namespace=KV_NAMESPACE_CLUSTER, key=CLUSTER_METADATA_KEY)
    answer = services.InternalKVGcsServiceStub(channel).InternalKVGet(metadata, timeout=_remaining(deadline))
    versions = json.loads(answer.value or "{}")
    request = messages.GetAllNodeInfoRequest()
    reply = services.NodeInfoGcsServiceStub(channel).GetAllNodeInfo(request, timeout=_remaining(deadline))
    nodes = [node.resources_total for node in reply.node_info_list if node.state == _ALIVE]
    ray, python = versions.get("ray_version", "unknown"), versions.get("python_version", "unknown")
    cpus, gpus = (sum(node.get(name, 0.0) for node in nodes) for name in ("CPU", "GPU"))
    result = ProbeResult(requested, address, ray, python, len(nodes), cpus, gpus)
    difference = mismatch(ray, python) if versions else ""
    if not difference:
        return result
    advice = "they must be the same: install raysweep here with the cluster's versions, or use another cluster"
    return replace(result, problem=f"a Ray answers at {address}, but {difference}", advice=advice)


def _remaining(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
