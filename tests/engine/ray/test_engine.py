from __future__ import annotations

from types import SimpleNamespace

from raysweep.engine.base import Task
from raysweep.engine.placing.places import Places
from raysweep.engine.ray.engine import RayEngine
from tests.engine.placing.test_places import cell, nodes, started


def test_cells_that_take_longest_come_first():
    engine = RayEngine.__new__(RayEngine)
    engine._nodes = SimpleNamespace(most_memory=lambda needs: 0)  # type: ignore[assignment]
    needs = cell("any", "A100").needs
    tasks = [Task(f"{hours} hours", lambda stages: {}, needs=needs, hours={"A100": hours}) for hours in (1, 3, 2)]
    found = Places(engine._to_place(tasks))
    found.set_nodes(nodes("A100:2"))
    assert started(found) == ["3 hours", "2 hours", "1 hours"]
