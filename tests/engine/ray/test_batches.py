from __future__ import annotations

import pickle
from types import SimpleNamespace

import pytest
import ray

from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray import batches
from raysweep.engine.ray.hosts.generation import GenerationActor
from raysweep.engine.ray.perturbing import PerturbingActor
from raysweep.storage.files import Files


def test_an_actor_whose_process_dies_is_restarted_three_times_and_more_often_after_drains(tmp_path, monkeypatch):
    actor = {"get_actor_id": lambda: "a", "get_node_id": lambda: "n", "was_current_actor_reconstructed": True}
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(**actor))
    excuses = iter(["drained", *[""] * 4])
    monkeypatch.setattr(batches, "excuse_for", lambda progress, nodes: next(excuses))
    progress = ProgressFile(Files(str(tmp_path)), "cell")
    *restarted, last = [batches.died_too_often("a generator", progress) for _ in range(5)]
    assert restarted == [None] * 4
    assert pickle.loads(last or b"").text == "the process of a generator died 4 times; was memory short?"


@pytest.mark.parametrize("actor", [GenerationActor, PerturbingActor])
def test_such_an_actor_gives_the_failure_for_all_its_batches(actor):
    given = SimpleNamespace(_failure=b"died")
    assert actor.__call__(given, {"index": [3, 4]}) == {"index": [3, 4], "result": [b"died", b"died"]}
