"""Nodes that lack something, or differ from the others, get no work; what they ended is no failed attempt."""

from __future__ import annotations

import logging
import os
from types import SimpleNamespace

import pytest

from raysweep.engine.attempts import with_retries
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster import cordons, drains, node_watch
from raysweep.engine.ray.cluster.cordons import (
    NODE_LABEL,
    Cordon,
    Cordons,
    Excused,
    excusing_cordons,
    fresh_cordons,
    leave_cordoned_node,
    outside_cordons,
    read_cordons,
    require_open_node,
)
from raysweep.engine.ray.cluster.node_watch import LEAST_BYTES, _can_replace, shortage_here, watching_nodes
from raysweep.engine.ray.cluster.nodes import nodes_by_id
from raysweep.errors import HopelessError, UsageError
from raysweep.machine import Memory
from raysweep.records import Recovery
from raysweep.storage.files import Files
from tests.patience import eventually

TWO = ("a", "b")
FULL = "node 10.0.0.7 gets no work: 0 MiB free on the disk of /tmp"


@pytest.mark.ray
@pytest.mark.usefixtures("connected")
def test_a_late_node_that_differs_gets_no_work_and_one_that_does_not_gets_some(shared_ray, monkeypatch, caplog):
    import ray

    def check(nodes):
        if any(facts.labels.get("torch") == "another" for facts in nodes.values()):
            raise UsageError("it has another torch")

    def where():
        require_open_node()
        return ray.get_runtime_context().get_node_id()

    monkeypatch.setattr(node_watch, "LOOK_SECONDS", 0.5)
    unlike = {"num_cpus": 1, "labels": {"torch": "another"}}
    with caplog.at_level(logging.WARNING, "raysweep"), watching_nodes(check, may_grow=False):
        assert set(read_cordons().checked) == set(nodes_by_id()) and outside_cordons({"a": "b"}) == {"a": "b"}
        with shared_ray.nodes({"num_cpus": 1}, unlike) as (like, other):
            on_it = ray.remote(where).options(num_cpus=1, label_selector={NODE_LABEL: like.id})
            assert ray.get(on_it.remote()) == like.id and like.id in read_cordons().checked
            assert eventually(lambda: other.id in read_cordons().by_node)
            line = f"node {nodes_by_id()[other.id].address} gets no work: it has another torch"
            assert read_cordons().by_node == {other.id: Cordon(line)} and other.id not in read_cordons().checked
            assert outside_cordons({"a": "b"}, ["x"]) == {"a": "b", NODE_LABEL: f"!in({other.id},x)"}
            on_other = ray.remote(where).options(label_selector={NODE_LABEL: other.id}, max_retries=0)
            with pytest.raises(Excused, match="it has another torch"):
                ray.get(on_other.remote())
        assert eventually(lambda: not read_cordons().by_node)
    assert caplog.messages == [line] and read_cordons().looks == 0


@pytest.mark.ray
@pytest.mark.usefixtures("connected")
def test_nodes_that_an_autoscaler_may_take_are_asked_when_they_join_and_after_failures(
    shared_ray, monkeypatch, caplog, tmp_path
):
    import ray
    from ray._private.state import actors

    class Actor:
        def shortage(self, times: float) -> str:
            import ray

            here = tmp_path / ray.get_runtime_context().get_node_id()
            return os.environ.get("SHORTAGE", "") or (here.read_text() if here.exists() else "")

    def live() -> list[str]:
        return [actor["State"] for actor in actors().values() if actor["State"] != "DEAD"]

    monkeypatch.setattr(node_watch, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(node_watch, "_remote_actor", lambda: ray.remote(Actor))
    none = len(live())
    joins = {"num_cpus": 1, "env_vars": {"SHORTAGE": "7 inodes free on the disk of /tmp"}}
    with (
        caplog.at_level(logging.WARNING, "raysweep"),
        shared_ray.nodes({"num_cpus": 1}) as (node,),
        watching_nodes(lambda nodes: None, may_grow=True),
    ):
        (tmp_path / node.id).write_text("12 MiB free on the disk of /tmp")
        assert eventually(lambda: len(live()) == none)
        with shared_ray.nodes(joins) as (late,):
            assert eventually(lambda: read_cordons().by_node)
            assert {*read_cordons().by_node} == {late.id}, "the other one was not asked again"
            assert {*fresh_cordons().for_room} == {late.id, node.id}
            assert eventually(lambda: len(live()) == none)
        (tmp_path / node.id).unlink()
        assert eventually(lambda: {*read_cordons().by_node} == {node.id})
        assert not fresh_cordons().by_node
    assert "gets no work: 12 MiB free on the disk of /tmp" in caplog.text


def test_a_node_says_which_of_its_disks_is_full(monkeypatch, tmp_path):
    whole = os.statvfs(tmp_path)

    def with_free(room: int, inodes: int = 10**6, all_inodes: int = 10**7) -> str:
        status = SimpleNamespace(f_bavail=room, f_frsize=1, f_favail=inodes, f_files=all_inodes)
        monkeypatch.setattr(node_watch.os, "statvfs", lambda place: status if place == tmp_path else whole)
        return shortage_here()

    monkeypatch.setattr(node_watch.tempfile, "gettempdir", lambda: str(tmp_path / "not there yet"))
    monkeypatch.setattr(node_watch, "memory", lambda: Memory(2**30, 2**29, None))
    assert with_free(LEAST_BYTES) == with_free(LEAST_BYTES, 0, 0) == ""
    assert with_free(12 * 2**20) == f"12 MiB free on the disk of {tmp_path}/not there yet"
    assert with_free(LEAST_BYTES, 7) == f"7 inodes free on the disk of {tmp_path}/not there yet"
    assert with_free(LEAST_BYTES) == "" and shortage_here(2).startswith("256 MiB free")
    monkeypatch.setattr(node_watch, "memory", lambda: Memory(2**34, 2**25, 2**30))
    assert with_free(LEAST_BYTES) == "32 MiB of its memory free"


@pytest.fixture
def looks(monkeypatch) -> list[Cordons]:
    """What processes read of the cordons, one after another; the last stays."""
    written = [Cordons(looks=3)]

    def read() -> Cordons:
        return written.pop(0) if len(written) > 1 else written[0]

    monkeypatch.setattr(cordons, "read_cordons", read)
    monkeypatch.setattr(cordons, "_write", lambda name, value: None)
    monkeypatch.setattr(cordons, "POLL_SECONDS", 0)
    return written


def attempt(folder, *errors: Exception) -> ProgressFile:
    """Run work that meets one error after another, with one attempt."""
    progress, left = ProgressFile(Files(str(folder)), "cell"), list(errors)

    def run() -> None:
        with excusing_cordons(progress, is_here=False):
            if left:
                raise left.pop()

    with progress.running("starting"):
        with_retries(run, progress, Recovery(retries=0))
    return progress


def test_an_attempt_during_which_a_node_was_cordoned_is_not_counted(tmp_path, looks):
    looks[:] = [Cordons(3, TWO), Cordons(3, TWO), *(Cordons(look, TWO, {"a": Cordon(FULL, 4)}) for look in (4, 5))]
    progress = attempt(tmp_path, OSError("the worker died"))
    assert progress.activity.attempt == 1
    assert any(line.endswith(f"attempt 1 begins again: {FULL}") for line in progress.activity.tail)


@pytest.mark.parametrize("before", [{}, {"a": Cordon(FULL, 2)}])
def test_others_are_counted_also_if_a_node_was_cordoned_before(tmp_path, looks, before):
    looks[:] = [Cordons(look, TWO, before) for look in (3, 9, 20)]
    with pytest.raises(OSError, match="the worker died"):
        attempt(tmp_path, OSError("the worker died"))


def test_an_error_that_comes_again_anywhere_is_no_nodes_fault(tmp_path, looks):
    looks[:] = [Cordons(3, TWO), Cordons(9, TWO, {"a": Cordon(FULL, 4)})]
    with pytest.raises(HopelessError, match="not finite"):
        attempt(tmp_path, HopelessError("the loss is not finite"))


def test_an_end_on_a_cordoned_node_is_excused_so_many_times(tmp_path, looks, monkeypatch):
    monkeypatch.setattr(drains, "MOST_EXCUSES", 2)
    by_node = {"a": Cordon(FULL, 3), "c": Cordon("it differs")}
    monkeypatch.setattr(drains, "read_cordons", lambda: Cordons(3, TWO, by_node))
    monkeypatch.setattr(drains, "drained", lambda nodes: {})
    progress = ProgressFile(Files(str(tmp_path)), "cell")
    assert drains.excuse_for(progress, ["b"]) == drains.excuse_for(progress, ["c"]) == ""
    assert [drains.excuse_for(progress, ["b", "a"]) for _ in range(3)] == [FULL, FULL, ""]


def test_a_process_on_a_node_that_is_or_gets_cordoned_does_nothing(monkeypatch, looks):
    import ray

    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "a"))
    looks[:] = [Cordons(3, ("b",)), Cordons(3, ("b",)), Cordons(4, ("b", "a"))]
    require_open_node()
    for first in (Cordons(3, ("b",)), Cordons(4, ("b", "a"), {"a": Cordon(FULL, 4)})):
        looks[:] = [first, Cordons(4, ("b",), {"a": Cordon(FULL, 4)})]
        with pytest.raises(Excused, match="0 MiB free"):
            require_open_node()


def test_a_trial_on_a_cordoned_node_ends_its_process_which_is_started_elsewhere(monkeypatch, tmp_path, looks):
    monkeypatch.setattr(cordons, "own_node", lambda: "a")
    monkeypatch.setattr(cordons, "LOOK_SECONDS", 0)
    monkeypatch.setattr(cordons, "FRESH_SECONDS", 0)
    monkeypatch.setattr(cordons.os, "_exit", lambda code: pytest.exit(f"left with {code}", returncode=code))
    looks[:] = [Cordons(4, TWO, {"a": Cordon(FULL, 4)})]
    with pytest.raises(pytest.exit.Exception, match="left with 71"):
        leave_cordoned_node()
    progress = ProgressFile(Files(str(tmp_path)), "cell")
    with pytest.raises(pytest.exit.Exception, match="left with 71"), excusing_cordons(progress, is_here=True):
        raise OSError("no space left on device")
    assert progress.activity.tail[-1].endswith(FULL)


def test_a_node_is_cordoned_only_if_another_one_can_do_all_that_it_can():
    small = NodeFacts({"CPU": 2.0, "memory": 100.0, "node:10.0.0.7": 1.0}, {NODE_LABEL: "a", "zone": "1"})
    large = NodeFacts({"CPU": 4.0, "memory": 90.0, "node:10.0.0.8": 1.0}, {NODE_LABEL: "b", "zone": "1"})
    elsewhere = NodeFacts(large.resources, {"zone": "2"})
    assert _can_replace(large, small)
    assert not any(_can_replace(*pair) for pair in [(small, large), (elsewhere, small)])
