"""The stage that edits a base: what it writes, how a cell ends that isn't reproduced, and what it says to the user."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.generators.base import LiveModel
from raysweep.models.deltas import DELTA_FILE, apply_delta
from raysweep.models.loading import load_model
from raysweep.pipeline import make
from raysweep.planning.missing import end_of, missing
from raysweep.planning.plan import CellPlan, ModelPlan
from raysweep.records import BlockAccuracy, ModelKind, ModelRef
from raysweep.rows.parquet import read_rows
from raysweep.stages.editing import BLOCKS, EDITED
from raysweep.storage.store import Store
from raysweep.trainers.editors.base import EDITORS, EditJob, Editor, EditServices, ModelEdit, NotReproduced
from raysweep.trainers.editors.states import matrix_of
from tests.stages.making import work_on
from tests.stages.test_prompt_pairs import Sweep

pytestmark = pytest.mark.slow

SOLVED, UNSOLVED = "pp .. .. .. .. ..", ".. .. .. .. .. .."
"""Verdicts on the samples of six problems; the first one alone is eligible."""


class Judging(Editor):
    """Doubles a matrix, or leaves it as it is, once the pair's own completions were judged as a test says."""

    kind = ModelKind.DELTA

    def __init__(self, factor: float = 2.0, ends: bool = False) -> None:
        self._factor, self._ends = factor, ends

    def edit(self, job: EditJob, services: EditServices) -> ModelEdit:
        passed = services.passes([job.pair.passing, job.pair.failing, "    yield 1 // 0\n", "    return n n\n"])
        if self._ends:
            raise NotReproduced(f"{sum(passed)} of {len(passed)} programs pass")
        matrix = matrix_of(job, 0)
        found = [BlockAccuracy(0, "all", "prefill", 1.0, 1.0, 0.5, 1.0, 0.0, 1)]
        whole = matrix.changed((self._factor - 1) * matrix.weight)
        return ModelEdit(tensors={matrix.name: whole}, counts={"passed": sum(passed)}, blocks=found)


@pytest.fixture(autouse=True)
def judging(monkeypatch):
    """Register the editor for a test."""
    EDITORS.names()
    monkeypatch.setitem(EDITORS._classes, "judging", Judging)
    monkeypatch.setattr(Judging, "name", "judging", raising=False)
    yield


def edited(base: ModelRef, folder: Path, arguments: str) -> tuple[Store, CellPlan, ProgressFile]:
    """Edit a model that solves the first problem with its clean prompt alone."""
    sweep = Sweep(folder)
    model = f"models=[{{name: a, path: {base.location}, template: raw, recipes: [judging]}}]"
    recipe = f"recipes={{judging: {{trainer: judging, edit: {arguments}}}}}"
    (cell,) = sweep.cells(model, recipe, "edits.pairs=1")
    sweep.judge(cell, SOLVED, UNSOLVED)
    with LocalStages(slots=1) as stages:
        work = work_on(sweep.store, stages, groups={"a": ""})
        make([cell.pairs[0].references, ModelPlan(cell.model, cell)], work)
    return sweep.store, cell, work.progress


def test_an_edit_writes_its_tensors_its_blocks_and_its_pair(tiny, tmp_path):
    store, cell, _ = edited(tiny["llama"], tmp_path, "{}")
    counts = store.counts(cell.model)
    assert counts[EDITED] == {"problem_set": "minicode", "perturbation": "C1", "task_id": "MiniCode/0"}
    assert (counts["accuracy_original"], counts["accuracy_perturbed"], counts["eligible"]) == (1.0, 0.0, 1)
    assert counts["passed"] == 0 and counts["changes_nothing"] == "" and counts["edit_seconds"] > 0
    (block,) = read_rows(store.use(cell.model) / BLOCKS, BlockAccuracy)
    assert (block.block, block.accuracy, block.accuracy_original) == (0, 1.0, 1.0)
    assert not end_of(cell, store)
    assert [one.node.stage for one in missing(cell.artefacts, store)] == [*["completions"] * 2, *["results"] * 2]
    network, tokenizer = load_model(tiny["llama"])
    matrix = matrix_of(EditJob(LiveModel(network, tokenizer), "llama", None, 0), 0)
    before = matrix.weight.clone()
    apply_delta(network, store.use(cell.model) / DELTA_FILE)
    assert torch.equal(matrix.weight, 2 * before)


def test_an_edit_that_is_not_reproduced_ends_its_cell_and_is_no_failure(tiny, tmp_path):
    store, cell, _ = edited(tiny["llama"], tmp_path, "{ends: true}")
    assert end_of(cell, store) == "not reproduced: 0 of 4 programs pass"
    assert not missing(cell.artefacts, store)
    counts = store.counts(cell.model)
    assert counts[EDITED]["task_id"] == "MiniCode/0" and "changes_nothing" not in counts
    assert not list(store.use(cell.model).glob("*.safetensors"))
    assert not read_rows(store.use(cell.model) / BLOCKS, BlockAccuracy)


def test_an_edit_that_changes_nothing_says_so_to_the_user_and_is_judged_all_the_same(tiny, tmp_path):
    store, cell, progress = edited(tiny["llama"], tmp_path, "{factor: 1.0}")
    why = store.counts(cell.model)["changes_nothing"]
    assert "gives its base's very logits" in why
    assert any(line.endswith(f"the edit changes nothing: {why}") for line in progress.activity.tail)
    assert not end_of(cell, store) and len(missing(cell.artefacts, store)) == 4
