"""Ends of work on drained nodes are excused, so many times."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.engine import attempts
from raysweep.engine.attempts import with_retries
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster import drains
from raysweep.records import Recovery
from raysweep.storage.files import Files


@pytest.fixture(autouse=True)
def one_is_drained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all nodes the one called `a` is drained. Pauses take no time."""
    monkeypatch.setattr(drains, "drained", lambda nodes: {node: "10.0.0.7" for node in nodes if node == "a"})
    monkeypatch.setattr(drains, "own_node", lambda: "driver")
    monkeypatch.setattr(attempts.time, "sleep", lambda seconds: None)


def train(folder: Path, node: str, failures: int) -> ProgressFile:
    """Run a training whose worker ends so many times on a node, with two attempts."""
    progress, left = ProgressFile(Files(str(folder)), "cell"), [OSError("the worker died")] * failures

    def run() -> None:
        with drains.excusing_drains(progress):
            drains.note_nodes(progress, [node])
            if left:
                raise left.pop()

    with progress.running("starting"):
        with_retries(run, progress, Recovery(retries=1))
    return progress


def test_an_end_on_a_drained_node_is_no_failed_attempt(tmp_path):
    activity = train(tmp_path, "a", 5).activity
    told = [line.partition("! ")[2] for line in activity.tail if "attempt" in line]
    assert activity.attempt == 1 and told == ["attempt 1 begins again: node 10.0.0.7 was drained"] * 5


def test_an_end_on_another_node_is_one(tmp_path):
    assert train(tmp_path / "once", "b", 1).activity.attempt == 2
    with pytest.raises(OSError, match="the worker died"):
        train(tmp_path / "twice", "b", 2)


def test_the_drain_of_a_node_that_does_not_go_excuses_only_so_many_ends(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(drains, "MOST_DRAINS", 3)
    progress = ProgressFile(Files(str(tmp_path)), "cell")
    assert drains.excuse_for(progress, ["b"]) == ""
    excuses = [drains.excuse_for(progress, ["a", "b"]) for _ in range(5)]
    assert excuses == ["node 10.0.0.7 was drained"] * 3 + ["", ""]


def test_drains_of_any_number_of_nodes_are_excused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(drains, "MOST_DRAINS", 1)
    monkeypatch.setattr(drains, "drained", lambda nodes: dict.fromkeys(nodes, "10.0.0.7"))
    progress = ProgressFile(Files(str(tmp_path)), "cell")
    assert all(drains.excuse_for(progress, [f"node-{number}"]) for number in range(5))
