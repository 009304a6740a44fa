"""What `raysweep plan` and `raysweep status` show, asked from Python."""

from __future__ import annotations

import dataclasses

import pytest

import raysweep
from raysweep.config.loading import to_yaml
from raysweep.errors import UsageError
from raysweep.planning.plan import SweepPlan
from raysweep.planning.predictions.costs import CellCost
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.overview.plan import plan_facts

MODELS = [{"name": name, "generator": "reference"} for name in ("right", "best")]
CONFIG = {"name": "s", "models": MODELS, "evaluation": {"problems": ["humaneval"], "perturbations": ["C1", "C2"]}}


@pytest.fixture
def plan(tmp_path) -> SweepPlan:
    return raysweep.plan(CONFIG, storage=str(tmp_path))


def test_a_plan_has_the_facts_that_the_command_shows_and_a_row_for_each_cell(plan, tmp_path):
    assert plan.facts == plan_facts(plan, Store(tmp_path))
    frame = plan.frame()
    assert frame.cell.to_list() == ["right.base", "best.base"] == [cell.cell.id for cell in plan.cells]
    assert (frame.pairs == 3).all() and (frame.pairs_done == 0).all() and frame.missing.all()
    assert frame.columns[0] == "cell" and {"peak_memory_bytes", "disk_bytes"} <= set(frame.columns)
    assert repr(plan) == "<plan of s: 2 cells, 6 evaluations>"


def test_the_row_of_a_cell_has_a_column_of_hours_for_each_accelerator(plan):
    hours = {"hours": {"A100": 2.0, "V100": 3.0}, "training_hours": {"A100": 1.5}}
    cells = [dataclasses.replace(cell, takes=CellCost(**hours)) for cell in plan.facts.cells]
    vars(plan)["facts"] = dataclasses.replace(plan.facts, cells=cells)
    frame = plan.frame()
    assert frame[["hours_A100", "hours_V100", "training_hours_A100"]].to_numpy().tolist() == [[2.0, 3.0, 1.5]] * 2
    assert not {"hours", "training_hours", "takes"} & set(frame.columns)


def test_a_status_has_a_row_for_each_cell(plan, tmp_path):
    with pytest.raises(UsageError, match="unknown sweep 's'"):
        raysweep.status("s", str(tmp_path))
    SweepFolder(Store(tmp_path), "s").claim(plan, to_yaml(plan.config))
    status = raysweep.status("s", str(tmp_path))
    assert status.shared == () and status.gpu_hours == {} and status.runs == ()
    rows = status.frame()[["cell", "state", "done", "pairs"]].to_numpy().tolist()
    assert rows == [["best.base", "waiting", 0, 3], ["right.base", "waiting", 0, 3]]


def test_a_sweep_without_numbers_is_loaded_with_a_warning(plan, tmp_path, caplog):
    folder = SweepFolder(Store(tmp_path), "s")
    folder.claim(plan, to_yaml(plan.config))
    assert raysweep.load_results("s", str(tmp_path)).empty
    lease = folder.store.leases.take(folder.lease)
    assert lease is not None
    with lease:
        assert raysweep.load_results("s", str(tmp_path)).empty
    rest = "`raysweep status s` shows how far it is, `raysweep report s` writes the numbers so far"
    assert caplog.messages == [f"the sweep 's' has no report yet: {rest}", f"the sweep 's' still runs: {rest}"]
