"""What `raysweep status --cell` tells."""

from __future__ import annotations

import json

import pytest

import raysweep
from raysweep.cli.views.status import print_cell
from raysweep.engine.progress import ProgressFile
from raysweep.errors import UnknownName
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.overview.cell import cell_detail

CONFIG = {
    "name": "s",
    "allow_code_execution": True,
    "models": [{"name": "m", "generator": {"name": "fake"}}],
    "evaluation": {
        "problems": [{"name": "minicode", "split": "validation", "count": 3}],
        "perturbations": ["clean", "C1"],
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> SweepFolder:
    root = str(tmp_path_factory.mktemp("store"))
    raysweep.run(CONFIG, storage=root, engine="local")
    return SweepFolder(Store(root), "s")


@pytest.mark.slow
def test_a_cells_state_pairs_and_log_are_told(folder, capsys):
    print_cell(folder, "m.base", as_json=False)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert {"cell m.base", "state done", "evaluations 2 of 2"} <= set(lines)
    assert any(line.endswith("done") for line in lines[lines.index("log:") :])


@pytest.mark.slow
def test_loss_learning_rate_and_last_step_stay_after_training(folder, capsys):
    progress = ProgressFile(folder.progress, "other")
    progress.update("training", 7, 10, "loss 0.512, lr 1.0e-03", force=True)
    progress.update("generating", 1, 4)
    progress.note("attempt 1 failed: why")
    print_cell(folder, "other", as_json=False)
    out = " ".join(capsys.readouterr().out.split())
    assert "training 7/10: loss 0.512, lr 1.0e-03" in out and "stage generating 1/4" in out
    assert "! attempt 1 failed: why" in out


def test_json_holds_the_same(folder, capsys):
    print_cell(folder, "m.base", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["status"]["state"] == "done" and [pair["done"] for pair in found["pairs"]] == [True, True]


def test_an_unknown_cell_is_named_with_the_nearest(folder):
    with pytest.raises(UnknownName, match=r"did you mean 'm.base'"):
        cell_detail(folder, "m.bas")
