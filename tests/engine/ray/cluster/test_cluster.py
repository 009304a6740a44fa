"""Where tasks are placed, and what can never be."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from raysweep.config.schema import RayConfig
from raysweep.engine.placing.nodes import NodeFacts, matches
from raysweep.engine.ray.cluster.cluster import SLOT, START_ATTEMPTS, Cluster, Placement, placements
from raysweep.engine.ray.cluster.nodes import this_machine
from raysweep.engine.ray.cluster.preflight import unschedulable, what_is_lacking, what_is_lacking_beside
from raysweep.planning.predictions.needs import CellNeeds, Needs
from tests.patience import PATIENCE

GIB = 2.0**30


def asked(*, workers: int = 1, in_trial: bool = False, **needs: Any) -> Placement:
    return placements(CellNeeds(training=Needs(**needs), workers=workers, in_trial=in_trial)).training


def test_a_trial_holds_what_it_uses_and_else_a_slot(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    owned, foreign = Cluster(RayConfig(), None), Cluster(RayConfig(), "auto")
    alone = asked(in_trial=True, cpus=2, memory_bytes=int(GIB))
    assert owned.driver_bundle(alone) == {"CPU": 2, "memory": GIB}
    assert owned.driver_bundle(asked(in_trial=True, gpus=1)) == {"CPU": 1, "GPU": 1}
    assert owned.driver_bundle(asked(workers=2)) == {SLOT: 1}
    assert foreign.driver_bundle(asked(workers=2)) == {"CPU": 0.001}, "a foreign Ray has no such resource"


def test_a_ray_that_starts_too_slowly_is_started_again_without_what_the_first_left(monkeypatch):
    import ray

    folders: list[str] = []
    left: list[subprocess.Popen[bytes]] = []

    def init(**options: Any) -> None:
        folders.append(options["_temp_dir"])
        if len(folders) == 1:
            left.append(subprocess.Popen(["tail", "-f", "/dev/null", "--", options["_temp_dir"]]))
            raise Exception("The current node timed out during startup. This could happen because ...")

    monkeypatch.setattr(ray, "init", init)
    assert Cluster(RayConfig(cpus=2), None).start() == "started Ray on 2 CPUs"
    (first, second), (process,) = folders, left
    assert process.wait(PATIENCE) == -signal.SIGKILL and not Path(first).exists() and Path(second).exists()
    shutil.rmtree(second)


def test_a_ray_that_does_not_start_is_an_error(monkeypatch):
    import ray

    tried: list[str] = []

    def init(**options: Any) -> None:
        tried.append(options["_temp_dir"])
        shutil.rmtree(options["_temp_dir"])
        raise Exception("no room" if len(tried) == 1 else "timed out during startup")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(Exception, match="no room"):
        Cluster(RayConfig(cpus=2), None).start()
    with pytest.raises(Exception, match="timed out"):
        Cluster(RayConfig(cpus=2), None).start()
    assert len(tried) == 1 + START_ATTEMPTS


def test_a_predicted_memory_is_no_more_than_a_node_has():
    for is_predicted, memory in ((True, 3 * GIB), (False, 8 * GIB)):
        needs = Needs(memory_bytes=int(8 * GIB), is_predicted=is_predicted)
        assert CellNeeds(generation=needs).capped(lambda _: 3 * GIB).generation.memory_bytes == memory


@pytest.mark.parametrize(
    ("resources", "workers", "said"),
    [
        ({"cpus": 9}, 1, r"9 CPU \(`resources.cpus`, or `resources.training.cpus` of .*\), but here has at most 8"),
        ({"gpus": 2}, 1, r"2 GPU \(`resources.gpus`, .*\), but here has at most 1"),
        (
            {"memory_bytes": 100 * int(GIB)},
            1,
            r"100.0 GiB memory .*, but here has at most 16.0 GiB",
        ),
        ({"gpus": 1}, 3, "3 training workers .* ask for 1 CPU and 1 GPU each, but here has room for 2"),
        ({"custom": {"tpuu": 1}}, 1, r"1 tpuu \(`resources.custom.tpuu`, .*\), but here has none"),
        ({"labels": {"pool": "in(b,c)"}}, 1, r"matches `resources.labels` pool: 'in\(b,c\)'; there is a"),
        ({"labels": {"pol": "a"}}, 1, r"pol: 'a'; there is no such label \(did you mean 'pool'\?\)"),
        ({"cpus": 5}, 3, "3 training workers .* ask for 5 CPU each, but here has room for 2"),
    ],
)
def test_what_no_node_can_hold_is_refused_with_its_name(resources, workers, said):
    node = NodeFacts({"CPU": 8.0, "GPU": 1.0, "memory": 16 * GIB}, {"pool": "a", "zone": "x"})
    assert re.search(said, what_is_lacking(asked(**resources), workers, [node, node], "here"))


def test_what_fits_is_let_through():
    node = NodeFacts({"CPU": 8.0, "GPU": 1.0, "memory": 16 * GIB}, {"pool": "a", "zone": "x"})
    assert what_is_lacking(asked(cpus=4, gpus=1), 2, [node, node], "here") == ""
    assert what_is_lacking(asked(), 0, [node], "here") == ""


def test_the_machine_is_measured_and_the_config_can_take_less_of_it():
    found = this_machine(RayConfig()).resources
    assert found["CPU"] >= 1 and found["memory"] > GIB
    assert this_machine(RayConfig(cpus=1)).resources["CPU"] == 1


@pytest.mark.parametrize(
    ("wanted", "matching"),
    [("a", True), ("b", False), ("!a", False), ("!b", True), ("in(b, a)", True), ("!in(a,b)", False), ("!in(b)", True)],
)
def test_label_selectors_are_rays(wanted, matching):
    assert matches({"pool": wanted}, {"pool": "a"}) is matching
    assert matches({"pool": wanted}, {}) is wanted.startswith("!")


def test_workers_that_would_take_all_leave_no_room_for_their_driver():
    node, half = NodeFacts({"CPU": 2.0}), NodeFacts({"CPU": 2.5})
    placed = asked()
    driver = {"CPU": 0.001}
    lacking = what_is_lacking_beside(driver, placed, 2, [node], "here")
    assert lacking.startswith("the workers would take all of here, and their driver needs 0.001 CPU")
    assert what_is_lacking_beside(driver, placed, 2, [half], "here") == ""
    assert what_is_lacking_beside(driver, placed, 2, [node, NodeFacts({"CPU": 1.0})], "here") == ""
    assert what_is_lacking_beside({}, placed, 2, [node], "here") == ""


def test_shares_of_a_gpu_are_counted_as_ray_does():
    assert what_is_lacking(asked(gpus=0.1, cpus=0.1), 10, [NodeFacts({"CPU": 1.0, "GPU": 1.0})], "here") == ""
    two = [NodeFacts({"CPU": 8.0, "GPU": 2.0})]
    assert what_is_lacking(asked(gpus=0.35, cpus=0.1), 4, two, "here") == ""
    no_share_lies_on_two = what_is_lacking(asked(gpus=0.35, cpus=0.1), 5, two, "here")
    assert "but here has room for 4" in no_share_lies_on_two


def test_all_cells_and_the_stages_that_can_never_be_scheduled_are_named():
    small, large = (placements(CellNeeds(generation=Needs(gpus=gpus), in_trial=False)) for gpus in (1, 2))
    wide = placements(CellNeeds(execution=Needs(cpus=99), in_trial=False))
    asked_for = [(["a"], small), (["b", "c", "d", "e"], large), (["f"], wide)]
    found = unschedulable(
        asked_for,
        lambda _, one, workers, stage: what_is_lacking(
            one, workers, [NodeFacts({"CPU": 1.0, "GPU": 1.0})], "here", stage
        ),
    )
    assert [line.partition(" (")[0] for line in found] == [
        "b, c, d and 1 more cell can never be scheduled: generation asks for 2 GPU",
        "f can never be scheduled: execution asks for 99 CPU",
    ]
