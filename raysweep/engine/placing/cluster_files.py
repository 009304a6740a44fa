"""Reads what the nodes of a cluster have from the file that starts it: a YAML file of `ray up`, or of KubeRay.

Nodes are counted at their largest number, since an autoscaler starts them when they are wanted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.errors import UsageError

KUBERAY = {"RayCluster": (), "RayJob": ("rayClusterSpec",), "RayService": ("rayClusterConfig",)}
"""Kinds of KubeRay's objects, and where below `spec` each has its cluster."""
GPU_LIMITS = "/gpu"
"""The end of the names of Kubernetes's GPU resources, such as ``nvidia.com/gpu``."""
MOST_NODES = 100_000
"""Of one type. Larger numbers stand for any number, such as KubeRay's default."""
UNLIMITED = 2.0**60
"""Bytes of memory of a node whose memory the file doesn't say."""
UNBOUNDED_REPLICAS = 2**31 - 1
"""KubeRay's default for `maxReplicas`."""
SUFFIXES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "m": 1e-3}
"""Suffixes of quantities in Kubernetes."""


@dataclass(frozen=True)
class NodeType:
    """Nodes that are alike. `fixed`: that are always there, such as a head; `most`: workers beside them, at most."""

    name: str
    node: NodeFacts
    fixed: int
    most: int


@dataclass(frozen=True)
class ClusterFile:
    """The nodes that a file can start. `most_workers`: of all types together, at a time; None: the file sets no limit.

    `most_workers` may be less than the types have together.
    """

    types: tuple[NodeType, ...]
    most_workers: int | None = None

    def nodes(self, workers: Mapping[str, int] | None = None) -> dict[str, NodeFacts]:
        """`workers`: their number by type; None: the most of each type, whatever all types may have together."""
        numbers = {kind.name: kind.most for kind in self.types} if workers is None else workers
        return {
            f"{kind.name} {index}": kind.node
            for kind in self.types
            for index in range(kind.fixed + numbers.get(kind.name, 0))
        }


def read_cluster_file(path: Path) -> ClusterFile:
    """Return what a cluster file can start; memory that the file doesn't say is unlimited.

    Raises:
        UsageError: the file can't be read, starts no Ray cluster, doesn't say what a type of nodes has, or gives nodes
            with accelerators no label.
    """
    try:
        parts = yaml.safe_load_all(path.read_text(encoding="utf-8"))
        documents = [part for part in parts if isinstance(part, Mapping)]
    except OSError as error:
        raise UsageError(f"the cluster file {path} can't be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UsageError(f"{path}: {place}not valid YAML ({getattr(error, 'problem', None) or error})") from None
    for document in documents:
        reader = (
            _kuberay_types if document.get("kind") in KUBERAY else _ray_up_types if "provider" in document else None
        )
        if reader is not None:
            try:
                return _checked(path, reader(path, document))
            except (AttributeError, TypeError, ValueError, OverflowError):
                raise UsageError(
                    f"{path} has another form than Ray reads, such as a list where a mapping belongs, or a text for a "
                    f"number; {FORMS[reader]}"
                ) from None
    raise UsageError(
        f"{path} starts no Ray cluster: it has neither `provider`, as files of `ray up` do, nor the kind "
        f"{', '.join(KUBERAY)}"
    )


def _checked(path: Path, file: ClusterFile) -> ClusterFile:
    for kind in file.types:
        if kind.node.resources.get("GPU") and not kind.node.labels.get(ACCELERATOR_LABEL):
            raise UsageError(
                f"{path}: nodes of type {kind.name!r} have GPUs and no label {ACCELERATOR_LABEL}, so no model can be "
                f"bound to them; give them one, such as `labels: {{{ACCELERATOR_LABEL}: A100}}`"
            )
        if kind.most > MOST_NODES:
            raise UsageError(
                f"{path}: nodes of type {kind.name!r} may be {kind.most:,}; give the most that there can be, "
                f"{MOST_NODES:,} or fewer (`max_workers` of `ray up`, `maxReplicas` of KubeRay)"
            )
    return file


def _ray_up_types(path: Path, document: Mapping[str, Any]) -> ClusterFile:
    types = document.get("available_node_types")
    if not isinstance(types, Mapping) or not types:
        raise UsageError(
            f"{path} doesn't say what its machines have; add `available_node_types` with `resources`, `labels` and "
            "`max_workers` to a copy of it, or start the cluster and ask it: `raysweep plan CONFIG --address HEAD:6379`"
        )
    head, wanted, nodes = document.get("head_node_type"), dict[str, int](), dict[str, NodeFacts]()
    most = int(document.get("max_workers", 2))  # Ray's default
    for name, node in types.items():
        resources = node.get("resources") if isinstance(node, Mapping) else None
        if isinstance(resources, Mapping) and (misspelt := {"cpu", "gpu", "Gpu", "Cpu"} & resources.keys()):
            raise UsageError(
                f"{path}: node type {name!r} has {min(misspelt)!r}, which Ray calls {min(misspelt).upper()!r}"
            )
        if not isinstance(resources, Mapping) or "CPU" not in resources:
            raise UsageError(
                f"{path}: node type {name!r} doesn't say what it has; write `resources: {{CPU: 8, GPU: 1}}`"
            )
        try:
            wanted[name] = int(node.get("max_workers", 0 if name == head else most))  # Ray's defaults
            amounts = {kind: float(amount) for kind, amount in resources.items()}
            nodes[name] = NodeFacts({"memory": UNLIMITED, **amounts}, dict(node.get("labels") or {}))
        except (TypeError, ValueError, OverflowError):
            raise UsageError(
                f"{path}: node type {name!r}: `max_workers` and the amounts of `resources` must be numbers, and "
                "`labels` a mapping"
            ) from None
    kinds = (NodeType(name, node, int(name == head), min(wanted[name], most)) for name, node in nodes.items())
    return ClusterFile(tuple(kinds), most)


def _kuberay_types(path: Path, document: Mapping[str, Any]) -> ClusterFile:
    spec = document.get("spec") or {}
    for key in KUBERAY[document["kind"]]:
        spec = spec.get(key) or {}
    if not isinstance(spec.get("headGroupSpec"), Mapping):
        raise UsageError(f"{path}: the {document['kind']} has no `headGroupSpec`")
    grows = bool(spec.get("enableInTreeAutoscaling"))
    types = [NodeType("head", _pod(path, "head", spec["headGroupSpec"]), 1, 0)]
    for group in spec.get("workerGroupSpecs") or ():
        name = str(group.get("groupName", "worker"))
        key = "maxReplicas" if grows else "replicas"
        replicas = group.get(key, UNBOUNDED_REPLICAS if grows else 0)
        if replicas == UNBOUNDED_REPLICAS:
            raise UsageError(f"{path}: group {name!r} has no `{key}`, so there may be any number of pods; give it one")
        try:
            number = int(replicas) * int(group.get("numOfHosts", 1))
        except (TypeError, ValueError, OverflowError):
            raise UsageError(
                f"{path}: group {name!r}: `{key}` must be a number, not {replicas!r}, and `numOfHosts`, too"
            ) from None
        types.append(NodeType(name, _pod(path, name, group), 0, number))
    return ClusterFile(tuple(types))


FORMS = {
    _ray_up_types: "of each of `available_node_types`, `resources` and `labels` are mappings",
    _kuberay_types: "`spec` is a mapping with `headGroupSpec`, a mapping, and `workerGroupSpecs`, a list of mappings",
}
"""What the parts of a cluster file are, by its reader."""


def _pod(path: Path, name: str, group: Mapping[str, Any]) -> NodeFacts:
    """Return what Ray finds in a pod: what `rayStartParams` say, else the limits of its first container."""
    params = group.get("rayStartParams") or {}
    try:
        container = group["template"]["spec"]["containers"][0]
        resources = container.get("resources") or {}
        limits = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
        cpus = float(params.get("num-cpus", math.ceil(_quantity(limits.get("cpu", 0)))))
        gpus = sum(_quantity(amount) for kind, amount in limits.items() if kind.endswith(GPU_LIMITS))
        memory = _quantity(limits["memory"]) if "memory" in limits else UNLIMITED  # KubeRay gives Ray all of it
        custom = str(params.get("resources", "{}")).strip().strip("'\"").replace('\\"', '"')
        amounts = {
            "CPU": cpus,
            "GPU": float(params.get("num-gpus", gpus)),
            "memory": float(params.get("memory", memory)),
            **{name: float(amount) for name, amount in json.loads(custom).items()},
            **{kind: _quantity(amount) for kind, amount in (group.get("resources") or {}).items()},
        }
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise UsageError(
            f"{path}: group {name!r} must have `template.spec.containers`, a list, whose first has `resources`: "
            "{limits: {cpu: 4, memory: 16Gi, nvidia.com/gpu: 1}}, or `rayStartParams` with numbers"
        ) from None
    written = (pair.partition("=") for pair in str(params.get("labels", "")).split(",") if pair)
    labels = {key.strip(): value.strip() for key, _, value in written}
    return NodeFacts(amounts, {**labels, **(group.get("labels") or {})})


def _quantity(written: Any) -> float:
    """Return a quantity of Kubernetes as a number: ``500m``, ``64Gi``, ``4``."""
    text = str(written)
    for suffix, factor in SUFFIXES.items():
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)
