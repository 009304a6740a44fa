"""What changed since the artefacts of a store were made: told by their manifests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raysweep.planning.key_changes import changes_since
from raysweep.planning.plan import ArtefactPlan
from raysweep.storage.artefacts import Node
from raysweep.storage.store import Store
from tests.storage.stores import commit


@dataclass(frozen=True)
class Planned(ArtefactPlan):
    node: Node
    inputs: tuple[ArtefactPlan, ...] = ()


def results(data: str = "a", python: str = "3.11.7", version: int = 1) -> Planned:
    """Results on a test set, whose problems have a hash of this digit."""
    spec: dict[str, Any] = {"problems": {"name": "jsonl", "sha256": data * 64}, "limit": None}
    test_set = Planned(Node("test_set", 1, spec, (), "test set mine C1"))
    node = Node("results", version, {"python": python, "stop": ("def",)}, (test_set.node.key,), "m.base on mine C1")
    return Planned(node, (test_set,))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    for plan in (*results().inputs, results()):
        assert plan.node is not None
        commit(store, plan.node)
    return store


@pytest.mark.parametrize(
    ("planned", "said"),
    [
        (results(), ""),
        (results(data="b"), "of test set mine C1, problems.sha256 was 'aaaaaaaa...' and is 'bbbbbbbb...'"),
        (results(python="3.11.9"), "of m.base on mine C1, python was '3.11.7' and is '3.11.9'"),
        (results(version=2), "of m.base on mine C1, version of the stage was 1 and is 2"),
        (
            results(data="b", python="3.11.9"),
            "of test set mine C1, problems.sha256 was 'aaaaaaaa...' and is 'bbbbbbbb...'",
        ),
    ],
)
def test_the_first_input_that_differs_is_named_with_what_changed(store, planned, said):
    assert changes_since(results().node.key, planned, store) == said


def test_without_a_manifest_nothing_is_told(store):
    assert changes_since("0" * 64, results(), store) == ""
