"""Numbers of an edited model for Tune: those of the report, without its problem; of a pair that ended there is none."""

from __future__ import annotations

import shutil
from math import isnan

import pytest

from raysweep.planning.plan import CellPlan
from raysweep.programs import Outcome
from raysweep.records import BlockAccuracy, Result
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages.editing import BLOCKS
from raysweep.stages.scoring import cell_numbers, edit_numbers, work_of
from tests.stages.test_prompt_pairs import Sweep

COUNTS = {
    "edit_at": "auto", "block": 1, "blocks": 2, "relative_change": 0.1, "memory_bytes": 2**20,
    "seconds": {"localization": 2.0, "edit": 3.0, "checks": 0.5},
}  # fmt: skip
PATCHED = [
    BlockAccuracy(block, positions, "prefill", 0.6, share, 1.0, 1.0, 0.2, 5)
    for positions, shares in (("all", (0.25, 0.5)), ("last", (0.0, 1.0)))
    for block, share in enumerate(shares)
]


def judge_edited(sweep: Sweep, cell: CellPlan, tasks: list[str], clean: str, perturbed: str) -> None:
    with sweep.store.writing(cell.model) as draft:
        write_rows(draft.folder / BLOCKS, BlockAccuracy, PATCHED, ["positions", "block"])
        (draft.folder / "delta.safetensors").touch()
        draft.counts = COUNTS
    for planned in cell.pairs:
        verdicts = (clean if planned.pair.perturbation == "clean" else perturbed).split()
        rows = [
            Result(task, sample, Outcome.PASSED if one == "p" else Outcome.FAILED, "", "", 0.0, "")
            for task, of_task in zip(tasks, verdicts, strict=True)
            for sample, one in enumerate(of_task)
        ]
        with sweep.store.writing(planned.results) as draft:
            write_rows(draft.folder / ROWS, Result, rows, ["task_id"])


def test_an_edited_model_has_what_it_restored_and_what_its_edit_took(tmp_path):
    sweep = Sweep(tmp_path)
    (cell,) = sweep.cells("edits.pairs=1")
    tasks = sweep.judge(cell, "pp pp pp .. pp pp", "pp .. pp .. pp pp")  # the second problem is the pair's
    assert sweep.find(cell).task_id == tasks[1]
    judge_edited(sweep, cell, tasks, "pp pp p. .. pp pp", "pp pp pp pp pp pp")
    found = edit_numbers(cell, sweep.store)
    assert found.pop("clean_change minicode clean") == pytest.approx(-0.1)  # half of one problem of five
    assert found == {  # without the pair's problem the base loses nothing, so that G-RIR is undefined
        "L-RIR minicode C1": 1.0,  # of the pair's problem alone
        "RI minicode C1": 0.5,
        "edited_block minicode C1": 1,
        "localization_seconds minicode C1": 2.0,
        "edit_seconds minicode C1": 3.0,
        "check_seconds minicode C1": 0.5,
        "memory_bytes minicode C1": 2.0**20,
        "relative_change minicode C1": 0.1,
    }
    assert cell_numbers(cell, sweep.store).items() >= found.items()


def test_the_share_restored_is_over_the_other_problems_and_unknown_without_the_bases_results(tmp_path):
    sweep = Sweep(tmp_path)
    first, _ = cells = sweep.cells("edits.pairs=2")
    tasks = sweep.judge(first, "pp pp .. .. .. ..", ".. .. .. .. .. ..")
    pairs = [sweep.find(cell).task_id for cell in cells]
    other = next(task for task in pairs if task != pairs[0])
    judge_edited(sweep, first, tasks, "pp pp .. .. .. ..", " ".join("p." if task == other else ".." for task in tasks))
    assert edit_numbers(first, sweep.store)["G-RIR minicode C1"] == pytest.approx(0.5)
    (perturbed,) = [one for one in first.pair_search.base.pairs if one.pair.perturbation == "C1"]
    shutil.rmtree(sweep.store.folder(perturbed.results))
    found = edit_numbers(first, sweep.store)
    assert "G-RIR minicode C1" not in found and found["edit_seconds minicode C1"] == 3.0


def test_a_cell_without_a_pair_has_no_numbers(tmp_path):
    sweep = Sweep(tmp_path)
    cell = sweep.cells()[0]
    sweep.judge(cell, ".. .. .. .. .. ..", ".. .. .. .. .. ..")
    assert sweep.find(cell) is None and cell_numbers(cell, sweep.store) == {}
    assert cell.pair_search is not None and edit_numbers(cell.pair_search.base, sweep.store) == {}


def test_an_adapter_has_no_block_and_unknown_numbers_are_no_zeros():
    work = work_of({"seconds": {"edit": 0.5}, "changes_nothing": "equal logits"})
    assert work.block is None and work.depth is None and work.changes_nothing == "equal logits"
    assert work.localization_seconds == 0 and isnan(work.memory_bytes) and isnan(work.relative_change)
    assert [number.metric for number in work.measurements] == ["localization_seconds", "edit_seconds"]
