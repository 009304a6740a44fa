"""Which files a cell's plan of code quality has linted; whole sweeps are in tests/behaviour/sweeps."""

from __future__ import annotations

from raysweep.config.loading import load_config
from raysweep.planning.planner import build_plan
from raysweep.quality.reports import LintReports
from raysweep.records import Completion
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages import quality
from tests.paths import NANO
from tests.stages.making import work_on
from tests.stages.test_prompt_pairs import EDITS, Sweep


def test_the_problem_that_a_model_was_edited_from_is_not_linted(tmp_path, monkeypatch):
    sweep, linted = Sweep(tmp_path), {}

    def lint(groups, **_):
        linted.update(groups)
        return dict.fromkeys(groups, LintReports((), ()))

    monkeypatch.setattr(quality, "lint_groups", lint)
    judged = ["evaluation.samples=2", "evaluation.temperature=0.2", "evaluation.quality={}"]
    plan = build_plan(load_config(NANO, [*EDITS, *judged, "edits.pairs=1"]))
    (of_edit,) = [one for one in plan.quality if one.cell.pair_search]
    (of_base,) = [one for one in plan.quality if not one.cell.pair_search]
    tasks = sweep.judge(of_edit.cell, "pp .. .. .. .. ..", ".. .. .. .. .. ..")
    pair = sweep.find(of_edit.cell)
    assert pair.task_id == tasks[0]
    with sweep.store.writing(of_edit.pair.completions) as draft:
        write_rows(draft.folder / ROWS, Completion, [Completion(task, 0, "", "eos", 1, "") for task in tasks], [])
    quality.lint_completions([of_base, of_edit], work_on(sweep.store))
    assert [file.file_id for file in linted[of_base.node.key]] == tasks
    assert [file.file_id for file in linted[of_edit.node.key]] == tasks[1:]
