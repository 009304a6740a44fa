"""Nodes that don't reach the store are refused before work starts, and clocks that differ are told."""

from __future__ import annotations

import logging
import shutil

import pytest

from raysweep.engine.ray.cluster import shared_store
from raysweep.engine.ray.cluster.asking import ask_nodes
from raysweep.engine.ray.cluster.nodes import nodes_by_id
from raysweep.engine.ray.cluster.shared_store import FOLDER, require_shared_store
from raysweep.errors import UsageError
from raysweep.storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("connected")]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.require_writable()
    return store


def test_nodes_that_read_and_write_the_store_are_accepted_and_leave_nothing(store, caplog):
    require_shared_store(nodes_by_id(), store.files, allow_mixed=False)
    assert store.files.infos(FOLDER) == {} and caplog.text == ""


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("before", "it doesn't see the file that this machine wrote"),
        ("after", "this machine doesn't see the file that it wrote"),
        ("root", "store"),
    ],
)
def test_a_node_with_another_disk_at_the_same_path_is_refused_with_its_address(monkeypatch, store, gone, said):
    """As seen from a node, the store is empty, or isn't there; as seen from here, what the node wrote isn't."""

    def elsewhere(*arguments, **options):
        folder = store.files.local / ("" if gone == "root" else FOLDER)
        if gone != "after":
            shutil.move(folder, folder.with_name("away"))
        answers = ask_nodes(*arguments, **options)
        if gone != "before":
            shutil.move(folder.with_name("away"), folder) if gone == "root" else shutil.rmtree(folder)
        return answers

    monkeypatch.setattr(shared_store, "ask_nodes", elsewhere)
    nodes = nodes_by_id()
    (address,) = {node.address for node in nodes.values()}
    with pytest.raises(UsageError, match=f"reaches the storage {store.root}: node {address}.*: .*{said}.*; name a"):
        require_shared_store(nodes, store.files, allow_mixed=False)


def test_a_clock_that_is_minutes_off_is_one_warning(monkeypatch, store, caplog):
    monkeypatch.setattr(
        shared_store,
        "ask_nodes",
        lambda *given, **options: {
            node: (problem, clock - 301) for node, (problem, clock) in ask_nodes(*given, **options).items()
        },
    )
    with caplog.at_level(logging.WARNING, "raysweep"):
        require_shared_store(nodes_by_id(), store.files, allow_mixed=False)
    (record,) = caplog.records
    assert "by -301 s; times of lines are those of this machine" in record.getMessage()
