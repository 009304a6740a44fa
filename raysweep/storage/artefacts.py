"""What names an artefact: a planned one with all that its key depends on, or any record with stage, key and label."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from raysweep.records import canonical_json


class Artefact(Protocol):
    """Anything that names an artefact: a `Node`, or what a sweep's grid remembers of one."""

    @property
    def stage(self) -> str:
        """The kind of artefact, a folder's name."""

    @property
    def key(self) -> str:
        """64 hex digits."""

    @property
    def label(self) -> str:
        """What people call it."""


@dataclass(frozen=True)
class Node:
    """A planned artefact: what it is made by, from what, and the key that follows.

    `spec` holds all that determines the output and nothing else: no path, host, time, or option that can't change it.
    """

    stage: str
    version: int
    spec: Mapping[str, Any]
    inputs: tuple[str, ...]  # keys of the artefacts it is made from
    label: str  # for people; not part of the key
    key: str = field(init=False)

    def __post_init__(self) -> None:
        content = {"stage": self.stage, "version": self.version, "spec": self.spec, "inputs": list(self.inputs)}
        object.__setattr__(self, "key", hashlib.sha256(canonical_json(content).encode()).hexdigest())


@dataclass(frozen=True)
class Unit:
    """Work that one process at a time does, and whose parts it keeps until the artefacts that it makes are whole."""

    stage: str
    key: str
    label: str


def folder_of(node: Artefact) -> str:
    """Return an artefact's folder in a store."""
    return f"artefacts/{node.stage}/{node.key[:2]}/{node.key}"
