"""A recipe with lists: its models are trained, one is chosen by validation loss, and that one alone is evaluated.

Trainer and generator are those of tests/steady.py, whose losses are a hash of the weights. That a kill changes no
choice is held in small by tests/stages/test_selection.py: a choice reads manifests alone, in any order. So are the
other long tests there, and which models are dropped by tests/storage/test_uses.py.
"""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raysweep.cli.views.status import print_status
from raysweep.config.loading import load_config
from raysweep.errors import HopelessError, UsageError
from raysweep.planning.choice import chosen_of
from raysweep.planning.missing import missing
from raysweep.planning.plan import CellPlan, SweepPlan
from raysweep.planning.planner import build_plan
from raysweep.records import CandidateLoss, Completion
from raysweep.stages import selection
from raysweep.storage.artefacts import DROPPED
from raysweep.storage.store import Store
from raysweep.storage.uses import CHOSEN
from raysweep.sweep.folder import open_folder
from raysweep.sweep.gc import open_for_gc, survey
from raysweep.sweep.overview.status import CellStatus, cell_states
from raysweep.sweep.report.facts import costs
from raysweep.sweep.run import SweepResult, run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.steady import Sweep, held

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plugin_parts")]

SELECT = {"by": "validation_loss"}
STEADY = {"trainer": "steady", "objective": "paced", "batch_size": 16, "epochs": [1, 2, 3], "select": SELECT}
TRAINING = {
    "source": {"name": "minicode", "part": "finetuning", "rows": 64},
    "validation": {"name": "minicode", "part": "pretraining", "rows": 8},
    "sets": ["clean"],
}
EVALUATION = {
    "problems": [{"name": "minicode", "split": "validation", "count": 2}],
    "prompt_format": "raw",
    "max_new_tokens": 12,
}
CELL = "base.steady.clean.s7"
CANDIDATES = {f"base.steady.epochs{number}.clean.s7" for number in (1, 2, 3)}


def write(sweep: Sweep, *, recipe: dict[str, Any] | None = None, **changes: Any) -> Sweep:
    sweep.write(recipes={"steady": {**STEADY, **(recipe or {})}}, training=TRAINING, evaluation=EVALUATION, **changes)
    return sweep


def plan_of(sweep: Sweep) -> SweepPlan:
    return build_plan(load_config(sweep.config))


def cell_of(plan: SweepPlan, name: str = CELL) -> CellPlan:
    return next(cell for cell in plan.cells if cell.cell.id == name)


def choice_of(sweep: Sweep) -> tuple[str, list[CandidateLoss]]:
    """Return which cell's model was chosen, and the losses."""
    store, cell = Store(sweep.store), cell_of(plan_of(sweep))
    assert cell.selection is not None
    chosen = chosen_of(cell, store)
    assert chosen is not None
    return chosen.cell.id, store.rows(cell.selection.node, CandidateLoss)


def run(sweep: Sweep, *overrides: str) -> SweepResult:
    """Run a sweep in this process."""
    return run_sweep(load_config(sweep.config, overrides), RunOptions(str(sweep.store), "local"))


def states(sweep: Sweep) -> dict[str, CellStatus]:
    return {cell.cell: cell for cell in cell_states(open_folder("steady", str(sweep.store)))}


def files(sweep: Sweep) -> dict[str, list[str]]:
    """Return the names of each model's files, by the model's label."""
    store, plan = Store(sweep.store), plan_of(sweep)
    models = {cell.cell.id: cell.model for cell in plan.cells if cell.is_candidate and cell.model}
    return {
        name: sorted(store.files.infos(f"artefacts/model/{node.key[:2]}/{node.key}")) for name, node in models.items()
    }


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Sweep:
    """A finished sweep on the local engine."""
    made = write(Sweep(tmp_path_factory.mktemp("selection"), installed))
    assert not run(made).errors
    return made


def test_the_model_with_the_lowest_loss_alone_is_evaluated_under_the_groups_name(sweep):
    chosen, losses = choice_of(sweep)
    lowest = min(losses, key=lambda one: one.loss)
    assert len(losses) == 3 and cell_of(plan_of(sweep), chosen).model.key == lowest.model_key
    folder = open_folder("steady", str(sweep.store))
    rows = [row for row in folder.grid() if row.recipe == "steady"]
    assert {(row.cell, row.model_stage, row.model_key) for row in rows} == {(CELL, "model", lowest.model_key)}
    completions = list((sweep.store / "artefacts" / "completions").rglob("manifest.json"))
    assert len(completions) == 2, "those of the base and of the chosen model"
    (cost,) = costs(folder)
    assert cost.trainings == 3


def test_status_shows_candidates_and_which_was_chosen(sweep, capsys):
    cells = states(sweep)
    assert cells.keys() == {"base.base", CELL, *CANDIDATES}
    assert {cell.state for cell in cells.values()} == {"done"}
    chosen = {name for name, cell in cells.items() if cell.is_chosen}
    assert chosen == {choice_of(sweep)[0]} and {cells[name].chosen_for for name in CANDIDATES} == {CELL}
    assert cells[CELL].model == cells[chosen.pop()].model
    print_status(open_folder("steady", str(sweep.store)), as_json=False)
    shown = capsys.readouterr().out
    assert f"chosen for {CELL}" in shown and shown.count("candidate") == 2


def test_a_finished_choice_leaves_nothing_to_do_and_nothing_to_remove(sweep):
    plan, store = plan_of(sweep), Store(sweep.store)
    assert missing(plan.targets, store, repair=True) == []
    assert survey(open_for_gc(store)).unused == ()


def test_the_report_names_the_chosen_recipe_with_all_losses(sweep):
    page = (sweep.store / "sweeps" / "steady" / "report.html").read_text()
    assert "steady.epochs2" in page and f"{min(one.loss for one in choice_of(sweep)[1]):.4f}" in page


@pytest.mark.long
def test_a_killed_sweep_goes_on_to_the_same_choice(sweep, tmp_path, installed):
    killed = write(Sweep(tmp_path, installed))
    with held(killed.notes):
        process = killed.start("run", str(killed.config), "--engine", "local")
        killed.await_checkpoint(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = killed.run("--engine", "local")
    assert done.returncode == 0, done.stderr
    assert choice_of(killed) == choice_of(sweep)


def test_the_order_of_the_list_and_the_names_of_recipes_change_no_key(sweep, tmp_path, installed):
    other = write(Sweep(tmp_path, installed), recipe={"epochs": [3, 1, 2]})
    ours, theirs = cell_of(plan_of(sweep)), cell_of(plan_of(other))
    assert [pair.results.key for pair in ours.pairs] == [pair.results.key for pair in theirs.pairs]


def test_all_are_evaluated_without_a_choice_and_the_chosen_ones_completions_are_used_again(sweep, tmp_path, installed):
    other = write(Sweep(tmp_path, installed), recipe={"select": "none"}, name="all")
    ours = {cell.cell.id: cell.model.key for cell in plan_of(sweep).cells if cell.model}
    plan = plan_of(other)
    assert {cell.cell.id: cell.model.key for cell in plan.cells if cell.model} == ours, "models have the same keys"
    store = Store(sweep.store)
    assert not run_sweep(load_config(other.config), RunOptions(str(sweep.store), "local")).errors
    reused = {
        cell.cell.id: [store.counts(pair.completions)["reused"] for pair in cell.pairs]
        for cell in plan.cells
        if cell.cell.id in CANDIDATES
    }
    chosen, _ = choice_of(sweep)
    assert {name for name, numbers in reused.items() if all(numbers)} == {chosen}


def test_models_that_are_not_chosen_go_and_are_not_made_again(tmp_path, installed):
    kept = write(Sweep(tmp_path, installed), keep_models="chosen")
    assert not run(kept).errors
    chosen, _ = choice_of(kept)
    assert {name for name, there in files(kept).items() if there != [DROPPED]} == {chosen}
    before = kept.commits()
    assert run(kept).cells_run == 0 and kept.commits() == before
    cells = states(kept)
    assert {name for name, cell in cells.items() if cell.dropped} == CANDIDATES - {chosen}
    assert {cell.state for cell in cells.values()} == {"done"}
    assert survey(open_for_gc(Store(kept.store))).unused == ()


@pytest.mark.long
def test_a_new_test_set_trains_the_chosen_model_alone_again_where_its_weights_were_dropped(tmp_path, installed):
    dropped = write(Sweep(tmp_path, installed), keep_models="adapters")
    assert not run(dropped).errors
    assert set(map(tuple, files(dropped).values())) == {(DROPPED,)}
    chosen, _ = choice_of(dropped)
    more = "evaluation.perturbations=[clean, C1]"
    lacking = missing(build_plan(load_config(dropped.config, [more])).targets, Store(dropped.store))
    assert {item.task for item in lacking if item.node.stage == "model"} == {chosen}
    assert not run(dropped, more).errors and set(map(tuple, files(dropped).values())) == {(DROPPED,)}


def test_what_another_model_wrote_is_made_again_where_a_new_choice_differs(tmp_path, installed, monkeypatch):
    made = write(Sweep(tmp_path, installed))
    assert not run(made).errors
    (first, _), store, cell = choice_of(made), Store(made.store), cell_of(plan_of(made))
    (pair,), was = cell.pairs, selection._loss
    texts = [row.text for row in store.rows(pair.completions, Completion)]

    def choose_again() -> str:
        store.remove(cell.selection.node)
        assert not run(made).errors
        assert missing(plan_of(made).targets, Store(made.store)) == []
        chosen, _ = choice_of(made)
        key = cell_of(plan_of(made), chosen).model.key
        assert [store.counts(node)[CHOSEN] for node in (pair.completions, pair.results)] == [key, key]
        return chosen

    before = store.manifest(pair.completions)
    assert choose_again() == first and store.manifest(pair.completions) == before, "an equal choice makes nothing"
    monkeypatch.setattr(selection, "_loss", lambda one, of: replace(was(one, of), loss=-was(one, of).loss))
    assert choose_again() != first
    others = [row.text for row in store.rows(pair.completions, Completion)]
    monkeypatch.undo()
    assert choose_again() == first
    assert [row.text for row in store.rows(pair.completions, Completion)] == texts != others


def test_a_failed_candidate_stops_the_choice_which_names_it(tmp_path, installed, monkeypatch):
    from raysweep_extra.steady import Steady

    failing, train = write(Sweep(tmp_path, installed)), Steady.train

    def fail(self, job, services):
        if job.recipe.epochs == 2:
            raise HopelessError("the loss of step 3 of 8 is nan")
        return train(self, job, services)

    monkeypatch.setattr(Steady, "train", fail)
    errors = run(failing).errors
    assert errors.keys() == {"base.steady.epochs2.clean.s7", CELL}
    assert errors[CELL].startswith("not started: base.steady.epochs2.clean.s7 failed: the loss of step 3")
    assert {name: states(failing)[name].state for name in CANDIDATES | {CELL}} == {
        "base.steady.epochs1.clean.s7": "done",
        "base.steady.epochs2.clean.s7": "failed",
        "base.steady.epochs3.clean.s7": "done",
        CELL: "failed",
    }
    monkeypatch.undo()
    again = run(failing)
    assert not again.errors and again.cells_run == 2


@pytest.mark.long
def test_models_without_losses_of_these_rows_are_refused_before_work(tmp_path, installed):
    without = {name: value for name, value in TRAINING.items() if name != "validation"}
    first = Sweep(tmp_path, installed)
    first.write(recipes={"steady": {**STEADY, "select": "none"}}, training=without, evaluation=EVALUATION)
    assert not run(first).errors
    before = write(first).commits()
    with pytest.raises(UsageError, match=f"was trained without these validation rows.* remove {first.store}"):
        run(first)
    assert first.commits() == before
