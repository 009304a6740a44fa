"""What a store lacks of a plan, in build order, and what is made together."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from raysweep.config.loading import load_config
from raysweep.engine.base import Context, Stages, Work
from raysweep.engine.progress import ProgressFile, read_activities
from raysweep.pipeline import MAKERS, make, one_by_one
from raysweep.planning.missing import by_cell, discard_damaged, missing, walk
from raysweep.planning.plan import ArtefactPlan, CellArtefactPlan, CellPlan, SweepPlan
from raysweep.planning.planner import build_plan
from raysweep.records import Recovery
from raysweep.stages.making import groups
from raysweep.storage.artefacts import MANIFEST, Node, folder_of
from raysweep.storage.leases import Lease
from raysweep.storage.store import Store
from raysweep.sweep.run import left_line
from tests.paths import NANO
from tests.patience import eventually
from tests.storage import stores


def commit(plans: Iterable[ArtefactPlan], store: Store) -> None:
    for plan in plans:
        assert plan.node is not None
        stores.commit(store, plan.node, {"level": "strong"})


def stages(plans: Iterable[ArtefactPlan]) -> list[str]:
    return [plan.node.stage for plan in plans if plan.node]


@pytest.fixture
def plan() -> SweepPlan:
    return build_plan(load_config(NANO, ["recipes.adapter={trainer: lora}", "models.0.recipes=[adapter]"]))


@pytest.fixture
def tuned(plan) -> CellPlan:
    return next(cell for cell in plan.cells if cell.model)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.require_writable()
    return store


def test_dependencies_come_first_and_a_finished_sweep_lacks_nothing(plan, store):
    lacking = missing(plan.targets, store)
    assert [item.node.key for item in lacking] == [item.node.key for item in walk(plan.targets)]
    for number, item in enumerate(lacking):
        assert {i.node.key for i in item.inputs if i.node} <= {before.node.key for before in lacking[:number]}
    commit(lacking, store)
    assert not missing(plan.targets, store, repair=True)


def test_the_base_of_an_adapter_is_needed_to_generate_and_the_training_set_is_not(plan, tuned, store):
    commit(walk(plan.targets), store)
    base, *_ = [item for item in walk(tuned.artefacts) if item.node and item.node.stage == "base_model"]
    for item in (base, tuned.training_set, *(a for a in tuned.artefacts if a.node.stage == "completions")):
        store.remove(item.node)
    assert stages(missing(tuned.artefacts, store)) == ["base_model", "completions", "completions"]
    assert base.node.key in {item.node.key for item in missing(plan.targets, store)}


def test_results_alone_need_no_model(plan, tuned, store):
    commit(walk(plan.targets), store)
    (base,) = [item for item in walk(tuned.artefacts) if item.node and item.node.stage == "base_model"]
    results = [item for item in tuned.artefacts if item.node.stage == "results"]
    for item in (base, *results):
        store.remove(item.node)
    assert stages(missing(tuned.artefacts, store)) == ["results", "results"]


def test_damage_is_repaired_though_nothing_needs_it_now(plan, tuned, store):
    commit(walk(plan.targets), store)
    (Path(store.folder(tuned.training_set.node)) / "rows.parquet").write_text("changed")
    again = Store(store.root)  # another process
    assert stages(missing(plan.targets, again, repair=True)) == ["training_set"]
    assert not missing(plan.targets, again)


def test_a_cells_pairs_are_made_together_after_all_their_test_sets(plan, tuned, store):
    commit(walk(plan.targets), store)
    for pair in tuned.pairs:
        for node in (pair.test_set.node, pair.completions, pair.results):
            store.remove(node)
    assert [stages(group) for group in groups(missing(tuned.artefacts, store))] == [
        ["test_set"],
        ["test_set"],
        ["completions", "completions", "results", "results"],
    ]


def test_two_cells_with_equal_artefacts_are_both_listed(store):
    models = "models=[{name: one, generator: reference}, {name: other, generator: reference}]"
    plan = build_plan(load_config(NANO, [models, "training=null"]))
    cells = by_cell(missing(plan.targets, store))
    assert [cell.cell.id for cell, _ in cells] == ["one.base", "other.base"]
    assert len({item.node.key for _, items in cells for item in items}) == len(cells[0][1])


def hold(store: Store, plan: ArtefactPlan) -> Lease:
    lease = store.leases.take(f"{plan.unit.stage}-{plan.unit.key}")
    assert lease is not None
    return lease


def test_damage_is_discarded_unless_a_process_makes_or_drops_the_artefact_at_this_moment(plan, tuned, store, caplog):
    commit(walk(plan.targets), store)
    whole, half = tuned.training_set, next(item for item in tuned.artefacts if item.node.stage == "completions")
    (Path(store.folder(whole.node)) / "rows.parquet").write_text("changed")
    store.files.remove(f"{folder_of(half.node)}/{MANIFEST}")
    with hold(store, whole), hold(store, half):
        discard_damaged(plan.targets, Store(store.root))
    assert store.is_damaged(whole.node) and not caplog.messages
    discard_damaged(plan.targets, Store(store.root))
    assert not store.is_damaged(whole.node) and len(caplog.messages) == 2
    assert "another content" in caplog.text and "no manifest" in caplog.text


@dataclass(frozen=True)
class Noted(ArtefactPlan):
    """A kind of artefact of which the store knows nothing."""

    node: Node
    inputs: tuple[ArtefactPlan, ...] = ()


def work_in(store: Store) -> Work:
    no_stages = cast(Stages, None)  # training would need some
    return Work(store, no_stages, ProgressFile(store.progress("s"), "cell"), Context(store.root, "s", 0, Recovery(0)))


def test_plans_of_a_new_kind_are_made_in_order_whatever_their_keys(store, monkeypatch):
    monkeypatch.setitem(MAKERS, Noted, one_by_one(lambda plan, work: commit([plan], work.store) or made.append(plan)))
    made, first = [], Noted(Node("noted", 1, {}, (), "first"))
    later = (Noted(Node("noted", version, {}, (), "later"), (first,)) for version in range(2, 99))
    second = next(plan for plan in later if plan.node.key < first.node.key)
    make([second], work_in(store))
    assert made == [first, second] and not missing([second], store)


@pytest.mark.slow
def test_a_model_that_another_process_has_made_used_and_dropped_meanwhile_is_not_made_again(store, caplog):
    plan = build_plan(load_config(NANO, ["keep_models=adapters"]))
    tuned = next(cell for cell in plan.cells if cell.model)
    (model,) = [item for item in walk(tuned.artefacts) if item.node == tuned.model]
    commit([item for item in walk(plan.targets) if item not in (model, *tuned.artefacts)], store)
    work = work_in(store)
    with ThreadPoolExecutor(1) as pool, hold(store, model):
        here = pool.submit(make, tuned.artefacts, work)
        assert eventually(lambda: here.done() or "cell" in read_activities(store.progress("s")))
        assert not here.done()
        commit([model, *tuned.artefacts], store)
        store.drop(model.node)
    here.result()
    assert store.is_dropped(model.node) and not missing(tuned.artefacts, store)


def test_a_rerun_says_how_much_is_left(plan, store):
    assert left_line(plan, missing(plan.targets, store)) == ""
    commit([item for item in missing(plan.targets, store) if not isinstance(item, CellArtefactPlan)][:2], store)
    everything, left = walk(plan.targets), missing(plan.targets, store)
    inputs = {item.task for item in everything if not isinstance(item, CellArtefactPlan) and not item.after_cells}
    assert left_line(plan, left) == (
        f"left to make: {len(inputs) - 2} of {len(inputs)} inputs and {len(plan.cells)} of {len(plan.cells)} models; "
        "the others are kept"
    )


def test_an_input_that_has_two_names_is_left_to_make_once(store):
    """The rows of a pre-training are a training set, too."""
    source = {"name": "minicode", "part": "finetuning", "rows": 64}
    sets = [f"models.0.pretrain.source={json.dumps(source)}", "training.sets=[clean]"]
    plan = build_plan(load_config(NANO, sets))
    lacking = missing(plan.targets, store)
    assert len({one.node.key for one in lacking}) < len({(one.task, one.node.key) for one in lacking})
    assert left_line(plan, lacking) == ""
