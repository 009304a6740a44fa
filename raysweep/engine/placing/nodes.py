"""What is known of a cluster's nodes: their resources and labels, and which labels match a selector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from raysweep.planning.predictions.needs import matches_one


@dataclass(frozen=True)
class NodeFacts:
    """The resources of a node by Ray's name (memory in bytes), its labels, and its address where it is known."""

    resources: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = field(default="", compare=False)


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Return True if labels match a selector of Ray: by label ``a``, ``!a``, ``in(a,b)`` or ``!in(a,b)``."""
    return all(matches_one(condition, labels.get(label)) for label, condition in selector.items())
