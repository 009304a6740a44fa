"""Reads what the nodes of a cluster have from the file that starts it: a YAML file of `ray up`, or of KubeRay.

Nodes are counted at their largest number, since an autoscaler starts them when they are wanted.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
MOST_SHOWN = 100
"""Characters of a part of a file that a message shows."""
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
        if document.get("kind") in KUBERAY:
            return _checked(path, _kuberay_types(path, document))
        if "provider" in document:
            return _checked(path, _ray_up_types(path, document))
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


@contextmanager
def _in_form(path: Path, place: str, written: Any, form: str) -> Iterator[None]:
    """Raise UsageError where the block can't read a part of the file. `form`: what Ray would read."""
    try:
        yield
    except (LookupError, AttributeError, TypeError, ValueError, OverflowError) as error:
        shown, cause = f"{written}"[:MOST_SHOWN], f"{type(error).__name__}: {error}"
        raise UsageError(f"{path}: {place} has another form than Ray reads ({cause}): {shown}; write {form}") from None


def _ray_up_types(path: Path, document: Mapping[str, Any]) -> ClusterFile:
    types = document.get("available_node_types")
    if not isinstance(types, Mapping) or not types:
        raise UsageError(
            f"{path} doesn't say what its machines have; add `available_node_types` with `resources`, `labels` and "
            "`max_workers` to a copy of it, or start the cluster and ask it: `raysweep plan CONFIG --address HEAD:6379`"
        )
    head, kinds = document.get("head_node_type"), list[NodeType]()
    with _in_form(path, "`max_workers`", document.get("max_workers"), "a number"):
        most = int(document.get("max_workers", 2))  # Ray's default
    for name, node in types.items():
        place, form = f"node type {name!r}", "`resources: {CPU: 8, GPU: 1}`, `labels: {KEY: TEXT}`, `max_workers: 3`"
        with _in_form(path, place, node, form):
            resources = node["resources"]
            if misspelt := {"cpu", "gpu", "Gpu", "Cpu"} & resources.keys():
                raise UsageError(f"{path}: {place} has {min(misspelt)!r}, which Ray calls {min(misspelt).upper()!r}")
            if "CPU" not in resources:
                raise KeyError("CPU")
            wanted = int(node.get("max_workers", 0 if name == head else most))  # Ray's defaults
            amounts = {kind: float(amount) for kind, amount in resources.items()}
            facts = NodeFacts({"memory": UNLIMITED, **amounts}, dict(node.get("labels") or {}))
        kinds.append(NodeType(name, facts, int(name == head), min(wanted, most)))
    return ClusterFile(tuple(kinds), most)


def _kuberay_types(path: Path, document: Mapping[str, Any]) -> ClusterFile:
    spec = document.get("spec")
    with _in_form(path, "`spec`", spec, "a mapping with `headGroupSpec`, and `workerGroupSpecs`, a list of mappings"):
        spec = functools.reduce(lambda part, key: part[key], KUBERAY[document["kind"]], spec)
        grows = bool(spec.get("enableInTreeAutoscaling"))
        groups = [(str(group.get("groupName", "worker")), group) for group in spec.get("workerGroupSpecs") or ()]
        types = [NodeType("head", _pod(path, "head", spec["headGroupSpec"]), 1, 0)]
    for name, group in groups:
        key = "maxReplicas" if grows else "replicas"
        replicas = group.get(key, UNBOUNDED_REPLICAS if grows else 0)
        if replicas == UNBOUNDED_REPLICAS:
            raise UsageError(f"{path}: group {name!r} has no `{key}`, so there may be any number of pods; give it one")
        with _in_form(path, f"group {name!r}", {key: replicas}, f"numbers as `{key}` and `numOfHosts`"):
            number = int(replicas) * int(group.get("numOfHosts", 1))
        types.append(NodeType(name, _pod(path, name, group), 0, number))
    return ClusterFile(tuple(types))


def _pod(path: Path, name: str, group: Mapping[str, Any]) -> NodeFacts:
    """Return what Ray finds in a pod: what `rayStartParams` say, else the limits of its first container."""
    form = (
        "`template.spec.containers`, a list, whose first has `resources`: {limits: {cpu: 4, memory: 16Gi, "
        "nvidia.com/gpu: 1}}, or `rayStartParams` with numbers; `labels` is a mapping"
    )
    with _in_form(path, f"group {name!r}", group, form):
        params = group.get("rayStartParams") or {}
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
        written = (pair.partition("=") for pair in str(params.get("labels", "")).split(",") if pair)
        labels = {key.strip(): value.strip() for key, _, value in written}
        facts = NodeFacts(amounts, {**labels, **(group.get("labels") or {})})
    return facts


def _quantity(written: Any) -> float:
    """Return a quantity of Kubernetes as a number: ``500m``, ``64Gi``, ``4``."""
    text = str(written)
    for suffix, factor in SUFFIXES.items():
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)
