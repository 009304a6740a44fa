"""Cells run on the accelerators that they may use, the longest first, and no accelerator has two at a time."""

from __future__ import annotations

import json

import pytest

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.config.resources import ResourcesConfig
from raysweep.config.schema import RayConfig
from raysweep.engine.base import EngineSettings
from raysweep.engine.ray.engine import RayEngine
from raysweep.records import Recovery
from raysweep.storage.files import Files
from tests.behaviour.ray.unlike_nodes import GPUS, HERE, cells_of_all_kinds

pytestmark = pytest.mark.ray


@pytest.mark.long
def test_cells_run_where_they_may_the_longest_first_and_one_at_a_time(shared_ray, tmp_path, monkeypatch):
    """In small: tests/engine/placing/test_places.py."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    nodes = [
        {"num_cpus": 4, "num_gpus": gpus, "labels": {ACCELERATOR_LABEL: kind}, "resources": HERE}
        for kind, gpus in GPUS.items()
    ]
    tasks, files = cells_of_all_kinds(tmp_path), Files(str(tmp_path / "sweep"))
    settings = EngineSettings(ResourcesConfig(), RayConfig(), Recovery(0, 0, 0, True), files, (), shared_ray.address)
    with shared_ray.nodes(*nodes), RayEngine(settings) as engine:
        engine.check(tasks)
        assert engine.run_cells(tasks) == {}
    found = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.ran")}
    assert len(found) == 8
    cells = {name: ran for name, ran in found.items() if name != "CPU-1"}  # that one may run anywhere
    for name, (kind, began, _) in cells.items():
        assert kind == name.partition("-")[0]
        assert sum(one[0] == kind and one[1] <= began < one[2] for one in cells.values()) <= GPUS[kind]
    begun = sorted((began, name) for name, (kind, began, _) in cells.items() if kind == "V100")
    assert [name for _, name in begun] == ["V100-3", "V100-2", "V100-1"]
    begun = sorted((began, name) for name, (kind, began, _) in cells.items() if kind == "A100" and name != "A100-split")
    assert begun[-1][1] == "A100-1"
