"""What a finished training leaves for plans: its seconds, from which the others' follow."""

from __future__ import annotations

import pytest

from raysweep.config.loading import load_config
from raysweep.planning.planner import build_plan
from raysweep.planning.predictions.costs import MEASURED, plan_costs
from raysweep.storage.store import Store
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.paths import NANO


@pytest.mark.slow
def test_a_finished_training_keeps_its_seconds_and_a_plan_measures_others_by_them(tmp_path):
    run_sweep(load_config(NANO), RunOptions(str(tmp_path), "local"))
    plan, store = build_plan(load_config(NANO, ["training.sets=[C1, clean]"])), Store(str(tmp_path))
    _, trained, other = plan.cells
    counts = store.counts(trained.model)
    assert counts["seconds"] > 0 and counts["cpu_seconds"] > 0 and counts["device"] == "cpu"
    costs = plan_costs(plan, store).cells
    assert costs[other.cell.id].basis == MEASURED
    assert costs[other.cell.id].cpu_seconds == pytest.approx(counts["cpu_seconds"])
    assert costs[other.cell.id].hours["cpu"] == pytest.approx(counts["seconds"] / 3600)
