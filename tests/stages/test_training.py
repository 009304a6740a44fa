"""What a finished training leaves for plans: its seconds, from which the others' follow."""

from __future__ import annotations

import pytest

from raysweep.config.loading import load_config
from raysweep.pipeline import make
from raysweep.planning.plan import ModelPlan
from raysweep.planning.planner import build_plan
from raysweep.planning.predictions.costs import MEASURED, plan_costs
from tests.paths import NANO
from tests.stages.making import opened, work_on
from tests.tiny import make_tiny


def test_a_finished_training_keeps_its_seconds_and_a_plan_measures_others_by_them(tmp_path):
    model = f"models.0={{name: own, path: {make_tiny('llama', tmp_path / 'own').location}, recipes: [tiny]}}"
    settings = [model, "recipes.tiny={steps: 2, batch_size: 4, max_tokens: 256}", "training.sets=[C1, clean]"]
    plan, store = build_plan(load_config(NANO, settings)), opened(tmp_path / "store")
    _, trained, other = plan.cells
    make([ModelPlan(trained.model, trained)], work_on(store, groups={"own": ""}))
    counts = store.counts(trained.model)
    assert counts["seconds"] > 0 and counts["cpu_seconds"] > 0 and counts["device"] == "cpu"
    costs = plan_costs(plan, store).cells
    assert costs[other.cell.id].basis == MEASURED
    assert costs[other.cell.id].cpu_seconds == pytest.approx(counts["cpu_seconds"])
    assert costs[other.cell.id].hours["cpu"] == pytest.approx(counts["seconds"] / 3600)
