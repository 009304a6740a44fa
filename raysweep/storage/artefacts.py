"""The identity of artefacts: stage, key and label, and the folder in a store that follows from them.

A planned artefact is a `Node`, whose key is computed. Records with a known key, such as entries of a sweep's grid, are
artefacts too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from raysweep.hashing import canonical_json
from raysweep.rows.parquet import ROWS

MANIFEST = "manifest.json"
"""Written last: it completes an artefact."""
DROPPED = "dropped.json"
"""The manifest of an artefact whose files were dropped, in place of `MANIFEST`: such an artefact counts as not made."""
ENDED = "ended"
"""The count of a manifest that says why nothing more is made of a cell, and why a model has no weights."""
MODELS = ("base_model", "model")
"""Stages whose artefacts are models; all others are tables."""
WEIGHTS = (".safetensors", ".bin")


class Artefact(Protocol):
    """Anything that names an artefact: a `Node`, or an entry in a sweep's grid."""

    @property
    def stage(self) -> str:
        """The kind of artefact; also the name of its folder."""

    @property
    def key(self) -> str:
        """64 hex digits."""

    @property
    def label(self) -> str:
        """A name for messages."""


class SharedSpec(dict[str, Any]):
    """A spec that many nodes have, whose JSON is made once; it must not be changed."""

    @cached_property
    def json(self) -> str:
        return canonical_json(self)


@dataclass(frozen=True)
class Node:
    """A planned artefact: its stage and spec, the keys of its inputs, and its own key, a hash of these.

    `spec` holds everything that determines the output and nothing else: no path, host, time, or option without effect.
    """

    stage: str
    version: int
    spec: Mapping[str, Any]
    inputs: tuple[str, ...]  # keys of the artefacts that the stage reads
    label: str  # for messages; not part of the key
    key: str = field(init=False)

    def __post_init__(self) -> None:
        spec = self.spec.json if isinstance(self.spec, SharedSpec) else canonical_json(self.spec)
        inputs = ",".join(f'"{key}"' for key in self.inputs)
        # the canonical JSON of all fields but the label, put together: keys and stages have nothing to escape
        content = f'{{"inputs":[{inputs}],"spec":{spec},"stage":"{self.stage}","version":{self.version}}}'
        object.__setattr__(self, "key", hashlib.sha256(content.encode()).hexdigest())


@dataclass(frozen=True)
class Unit:
    """Work that makes several artefacts under one lease, with one folder for its unfinished parts."""

    stage: str
    key: str
    label: str


def folder_of(node: Artefact) -> str:
    """Return the name of an artefact's folder in a store."""
    return f"{parent_of(node)}/{node.key}"


def parent_of(node: Artefact) -> str:
    """Return the name of the folder that has the folders of an artefact and of others."""
    return f"artefacts/{node.stage}/{node.key[:2]}"


def damage_text(node: Artefact, damage: str) -> str:
    return f"{node.stage.replace('_', ' ')} {node.label} was damaged ({damage}): it is made again"


def missing_part(stage: str, files: Iterable[str], counts: Mapping[str, Any]) -> str:
    """Return which file an artefact must have and lacks: the rows of a table, the weights of a model; else empty."""
    if stage not in MODELS:
        return "" if ROWS in files else f"{ROWS} is missing"
    has_weights = any(name.endswith(WEIGHTS) for name in files)
    return "" if has_weights or ENDED in counts else f"a file of weights (*{' or *'.join(WEIGHTS)}) is missing"
