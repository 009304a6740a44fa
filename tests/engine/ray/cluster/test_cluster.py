"""Where tasks are placed, and what can never be."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from raysweep.config.schema import RayConfig
from raysweep.engine.ray.cluster.cluster import SLOT, START_ATTEMPTS, Cluster, Placement, placements
from raysweep.engine.ray.cluster.nodes import this_machine
from raysweep.errors import RaysweepError
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


@pytest.mark.slow
def test_a_ray_that_does_not_start_is_an_error(monkeypatch):
    import ray

    tried: list[str] = []

    def init(**options: Any) -> None:
        tried.append(options["_temp_dir"])
        raise Exception("no room" if len(tried) == 1 else "timed out during startup")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(Exception, match="no room"):
        Cluster(RayConfig(cpus=2), None).start()
    shutil.rmtree(tried[0])
    with pytest.raises(RaysweepError, match=r"3 times in a row, .*\(load \d+ on \d+ cores?\); .*--engine local"):
        Cluster(RayConfig(cpus=2), None).start()
    assert len(tried) == 1 + START_ATTEMPTS and not any(Path(folder).exists() for folder in tried)


def test_the_machine_is_measured_and_the_config_can_take_less_of_it():
    found = this_machine(RayConfig()).resources
    assert found["CPU"] >= 1 and found["memory"] > GIB
    assert this_machine(RayConfig(cpus=1)).resources["CPU"] == 1
