"""`keep_models: adapters`: the full weights of judged models are dropped, and all else goes on as before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import raysweep
from raysweep.cli.views.plan import print_plan
from raysweep.cli.views.status import print_cell, print_status
from raysweep.config.loading import load_config, to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.planning.missing import missing, walk
from raysweep.planning.planner import build_plan
from raysweep.planning.predictions.rates import measured_rates
from raysweep.storage.artefacts import DROPPED
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder, open_folder
from raysweep.sweep.gc import open_for_gc, remove, survey
from raysweep.sweep.overview.plan import plan_facts
from raysweep.sweep.overview.status import cell_states
from raysweep.sweep.report.facts import modules_by_recipe, trainings
from raysweep.sweep.report.write import export
from raysweep.sweep.run import SweepResult, run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.paths import NANO
from tests.steady import Sweep
from tests.storage.stores import written

pytestmark = pytest.mark.slow

ADAPTER = ["recipes.adapter={trainer: lora, epochs: 1, batch_size: 16}", "models.0.recipes=[tiny, adapter]"]
FULL, LORA = "llama.tiny.C1.s7", "llama.adapter.C1.s7"
MORE_TESTS = "evaluation.perturbations=[clean, C1, C2]"


def config(*overrides: str, keep: str = "adapters") -> SweepConfig:
    return load_config(NANO, [*ADAPTER, f"keep_models={keep}", *overrides])


def run(root: Path, *overrides: str, keep: str = "adapters") -> SweepResult:
    result = run_sweep(config(*overrides, keep=keep), RunOptions(str(root), "local"))
    assert not result.errors
    return result


def weights(root: Path) -> list[str]:
    """Return the names of the files of models, those that sweeps pre-train left out."""
    return sorted(path.name for path in (root / "artefacts" / "model").rglob("*") if path.is_file())


def has_weights(root: Path, cell: str, sweep: str = "nano") -> bool:
    folder = open_folder(sweep, str(root))
    (model,) = {row.weights for row in folder.grid() if row.cell == cell}
    assert model is not None
    return folder.store.has(model)


@pytest.fixture(scope="module")
def dropped(tmp_path_factory) -> Path:
    """A store with a finished sweep whose full weights were dropped while it ran."""
    root = tmp_path_factory.mktemp("dropped")
    run(root)
    return root


@pytest.fixture
def root(dropped, tmp_path) -> Path:
    """A copy of this store, which a test may change."""
    return Path(shutil.copytree(dropped, tmp_path / "store"))


def test_full_weights_are_gone_and_adapters_and_base_models_stay(dropped):
    assert "model.safetensors" not in weights(dropped) and DROPPED in weights(dropped)
    assert "adapter_model.safetensors" in weights(dropped)
    assert list((dropped / "artefacts" / "base_model").rglob("model.safetensors"))
    assert (has_weights(dropped, FULL), has_weights(dropped, LORA)) == (False, True)


def test_the_report_names_the_layers_that_adapters_change(dropped):
    page = (dropped / "sweeps" / "nano" / "report.html").read_text()
    assert "adapters of recipe adapter" in page and "down_proj (llama)" in page
    folder = open_folder("nano", str(dropped))
    modules = modules_by_recipe(folder, folder.config())
    assert {
        recipe: {model: set(names) for model, names in by_model.items()} for recipe, by_model in modules.items()
    } == {"adapter": {"llama": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}}}


def test_no_key_depends_on_it():
    ours, theirs = ([plan.node for plan in walk(build_plan(config(keep=keep)).targets)] for keep in ("all", "adapters"))
    assert {node.key for node in ours if node} == {node.key for node in theirs if node}


def test_the_same_sweep_again_makes_nothing(root):
    before = written(root)
    assert run(root).cells_run == 0
    assert written(root) == before and not has_weights(root, FULL)


def test_results_samples_trainings_and_rates_are_there_as_before(dropped, tmp_path):
    frame = raysweep.load_results("nano", storage=str(dropped))
    assert {"tiny", "adapter"} <= set(frame[frame.metric == "pass@1"].recipe)
    assert len(raysweep.load_samples("nano", storage=str(dropped))) == 3 * 2 * 6
    folder = open_folder("nano", str(dropped))
    found = {(one.recipe, one.training_set): one for one in trainings(folder, folder.config())}
    assert found["tiny", "C1"].rows == 64 and found["tiny", "C1"].losses
    assert "<svg" in Path(export(folder, "html", tmp_path)).read_text()
    assert ("llama", "tiny") in measured_rates(build_plan(config()), folder.store)


def test_status_says_so_and_offers_no_folder(dropped, capsys):
    folder = open_folder("nano", str(dropped))
    states = {cell.cell: cell for cell in cell_states(folder)}
    assert (states[FULL].model, states[FULL].dropped, states[FULL].state) == ("", True, "done")
    assert states[LORA].model and not states[LORA].dropped
    print_status(folder, as_json=False)
    shown = capsys.readouterr().out
    assert f"(keep_models: adapters); a new test set trains them again:\n  {FULL}\n" in shown
    assert shown.count(FULL) == 2, "its state, and that it was dropped"
    print_cell(folder, FULL, as_json=False)
    assert "weights dropped once all evaluations were done" in capsys.readouterr().out
    print_status(folder, as_json=True)
    assert [cell["dropped"] for cell in json.loads(capsys.readouterr().out)["cells"]].count(True) == 1


def test_a_new_test_set_trains_the_model_again_which_plan_says_with_the_reason(root, capsys):
    store, before = Store(root), written(root)
    facts = plan_facts(build_plan(config()), store)
    assert {cell.cell: cell.model for cell in facts.cells} == {"llama.base": "base", FULL: "dropped", LORA: "exists"}
    print_plan(facts, as_json=False)
    assert "again" not in capsys.readouterr().out
    plan = build_plan(config(MORE_TESTS))
    facts = plan_facts(plan, store)
    assert {cell.cell: cell.model for cell in facts.cells}[FULL] == "to train again"
    print_plan(facts, as_json=False)
    assert "models dropped before, to train again: 1" in capsys.readouterr().out
    planned = {item.node.key for item in missing(plan.targets, store) if item.node}
    assert run(root, MORE_TESTS).cells_run == 3
    new = written(root).keys() - before.keys()
    stages = sorted(name.partition("/")[0] for name in new)
    assert stages == [*3 * ["completions"], *3 * ["results"], "test_set"]
    (model,) = planned - {name.partition("/")[2] for name in new}
    assert model in {row.model_key for row in open_folder("nano", str(root)).grid() if row.cell == FULL}
    assert not has_weights(root, FULL), "it was trained again, judged on the new test set, and dropped again"


def test_a_sweep_that_keeps_all_models_has_them_trained_again_and_then_they_stay(root):
    run(root, "name=other", keep="all")
    assert has_weights(root, FULL, "other")
    run(root)
    assert has_weights(root, FULL), "the other sweep keeps it"
    shutil.rmtree(root / "sweeps" / "other")
    assert run(root).cells_run == 0 and not has_weights(root, FULL)


def test_a_model_stays_while_another_sweep_has_a_pair_of_it_to_judge(tmp_path):
    wider, store = config(MORE_TESTS, "name=wider"), Store(tmp_path)
    store.require_writable()
    SweepFolder(store, "wider").claim(build_plan(wider), to_yaml(wider))
    run(tmp_path)
    assert has_weights(tmp_path, FULL)
    assert run(tmp_path, MORE_TESTS, "name=wider").cells_run == 3
    assert not has_weights(tmp_path, FULL)


def test_gc_finds_nothing_in_use_and_removes_the_record_with_its_sweep(root):
    store = open_for_gc(Store(root))
    assert survey(store).unused == ()
    shutil.rmtree(root / "sweeps" / "nano")
    assert {"model", "base_model"} <= {one.kind for one in remove(store).removed}
    assert weights(root) == [] and survey(store).unused == ()


@pytest.mark.long
@pytest.mark.ray
def test_processes_that_generate_on_ray_go_on_when_the_weights_of_the_model_before_are_gone(
    installed, shared_ray, tmp_path
):
    """In small: test_full_weights_are_gone_and_adapters_and_base_models_stay."""
    sweep = Sweep(tmp_path, installed)
    sweep.write(keep_models="adapters")
    done = sweep.run("--set", "training.sets=[C1, C2]", "--address", shared_ray.address)
    assert done.returncode == 0 and "attempt" not in done.stderr, done.stderr
    assert weights(sweep.store) == [DROPPED, DROPPED]
