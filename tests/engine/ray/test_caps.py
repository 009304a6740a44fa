"""A sweep with a cap starts nothing on GPUs once it has used its GPU-hours."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from raysweep.engine.ray import stages
from raysweep.engine.ray.cluster.cluster import placements
from raysweep.engine.ray.hosts.order import Turns, cell_order
from raysweep.engine.ray.numbers import meter
from raysweep.engine.ray.stages import RayStages
from raysweep.errors import Stopped
from raysweep.planning.predictions.needs import CellNeeds, Needs

pytestmark = pytest.mark.slow

USED_UP = "the sweep has used 2 GPU-hours (--max-gpu-hours 1)"
WORK: Any = SimpleNamespace(activity=SimpleNamespace(id="cell"), workers=1)


class Keeper:
    """Lets any cell start at once. Stands for a Ray actor."""

    next_cell = SimpleNamespace(remote=lambda started: (f"cell-{started}", "A100"))


@pytest.fixture
def hours(monkeypatch) -> Any:
    """What the meter answers: the text that a cap gives once it is used up, else nothing."""
    left = SimpleNamespace(text="")
    monkeypatch.setattr(meter, "spent", lambda: left.text)
    monkeypatch.setattr("ray.get", lambda answer: answer)
    return left


def test_no_cell_starts_once_a_cap_is_used_up(hours):
    from ray.tune.search import Searcher

    capped, free = (cell_order(Turns(Keeper, 3, is_capped)) for is_capped in (True, False))
    assert capped.suggest("one") == free.suggest("one") == {"cell": "cell-0", "pool": "A100"}
    hours.text = USED_UP
    assert capped.suggest("two") == Searcher.FINISHED and free.suggest("two")["cell"] == "cell-1"


@pytest.mark.parametrize(("gpus", "is_capped", "stops"), [(1, True, True), (0, True, False), (1, False, False)])
def test_no_stage_on_gpus_begins_once_a_cap_is_used_up(hours, monkeypatch, gpus, is_capped, stops):
    begun: list[str] = []
    monkeypatch.setattr(stages, "train_with_ray", lambda *a, **b: begun.append("training"))
    monkeypatch.setattr(stages, "generate_with_ray", lambda *a, **b: begun.append("generation"))
    monkeypatch.setattr(stages, "_report_wait", lambda *a: None)
    needs = Needs(1, gpus)
    placed = placements(CellNeeds(needs, needs, Needs(), 1, in_trial=False), set())
    own = RayStages(placed, 1, 1, is_capped=is_capped).on("A100")
    hours.text = USED_UP
    for stage, begin in (("training", own.train), ("generation", own.generate)):
        if stops:
            with pytest.raises(Stopped, match=f"stopped before its {stage}, since the sweep has used 2 GPU-hours"):
                begin(WORK, WORK)
        else:
            begin(WORK, WORK)
    assert begun == ([] if stops else ["training", "generation"])
    hours.text = ""
    own.train(WORK, WORK)
    assert begun[-1] == "training"
