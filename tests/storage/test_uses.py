"""When the files of a judged model are dropped, and what of it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.errors import StoreError
from raysweep.storage.artefacts import DROPPED, MANIFEST, Node, folder_of
from raysweep.storage.store import Store
from raysweep.storage.uses import GRID, Use, drop_judged, read_uses, sweeps_with_artefacts, write_uses
from tests.storage import stores

MODEL = Node("model", 1, {"name": "m"}, ("b" * 64,), "m.full.C1.s1")
RESULTS = [Node("results", 1, {"name": name}, (), f"m on {name}") for name in ("clean", "C1", "C2")]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with a model and the results of two of its three pairs."""
    store = Store(tmp_path)
    store.require_writable()
    commit(store, MODEL, "model.safetensors", "config.json")
    for node in RESULTS[:2]:
        commit(store, node, "rows.parquet")
    return store


def commit(store: Store, node: Node, *names: str) -> None:
    with store.writing(node) as draft:
        for name in names:
            (draft.folder / name).write_text(name)
        draft.counts = {"steps": 4}


def use(store: Store, sweep: str, *results: Node, droppable: bool = True) -> None:
    rows = [Use("results", node.key, node.label, judges=MODEL.key) for node in results]
    write_uses(store, sweep, [Use("model", MODEL.key, MODEL.label, droppable=droppable), *rows])


def drop(store: Store) -> bool:
    """Drop the model if nothing needs it; return whether it was dropped."""
    drop_judged([MODEL], store)
    return store.is_dropped(MODEL)


def files(store: Store) -> set[str]:
    return set(store.files.infos(folder_of(MODEL)))


def test_a_list_is_read_as_it_was_written(store):
    use(store, "s", *RESULTS)
    assert {row.judges for row in read_uses(store, "s")} == {"", MODEL.key}
    assert sweeps_with_artefacts(store) == ["s"]


def test_a_dropped_model_counts_as_not_made_and_keeps_its_counts_and_inputs(store):
    use(store, "s", *RESULTS[:2])
    assert drop(store) and files(store) == {DROPPED}
    assert not store.has(MODEL) and not store.is_damaged(MODEL) and not store.discard_if_damaged(MODEL)
    assert store.counts(MODEL) == {"steps": 4}
    with pytest.raises(StoreError, match=r"m\.full\.C1\.s1 was dropped from the store; run the command again"):
        store.use(MODEL)
    commit(store, MODEL, "model.safetensors", "config.json")
    assert store.has(MODEL) and DROPPED not in files(store)


def test_a_model_with_a_pair_that_is_not_judged_stays_whichever_sweep_has_the_pair(store):
    use(store, "s", *RESULTS[:2])
    use(store, "other", *RESULTS)
    assert not drop(store) and store.has(MODEL)
    commit(store, RESULTS[2], "rows.parquet")
    assert drop(store)


def test_a_model_that_another_sweep_keeps_stays(store):
    use(store, "s", *RESULTS[:2])
    use(store, "other", *RESULTS[:2], droppable=False)
    assert not drop(store)


def test_a_model_that_nothing_has_judged_stays(store):
    use(store, "s")
    assert not drop(store)


def test_a_model_that_a_process_makes_stays(store):
    use(store, "s", *RESULTS[:2])
    lease = store.leases.take(f"model-{MODEL.key}")
    assert lease is not None
    with lease:
        assert not drop(store)
    assert drop(store)


def test_all_models_stay_where_a_list_is_missing_or_broken(store, caplog):
    use(store, "s", *RESULTS[:2])
    store.files.write(f"sweeps/old/{GRID}", "")
    assert not drop(store) and "sweeps/old/uses.parquet is missing" in caplog.text
    store.files.write("sweeps/old/uses.parquet", "torn")
    assert not drop(store) and caplog.text.count("weights of evaluated models could not be dropped") == 2


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_drop_that_was_killed_is_finished_by_the_next_one(store, steps):
    use(store, "s", *RESULTS[:2])
    text = store.files.read(f"{folder_of(MODEL)}/{MANIFEST}") or b""
    store.files.write(f"{folder_of(MODEL)}/{DROPPED}", text)
    for name in (MANIFEST, "config.json")[: steps - 1]:
        store.files.remove(f"{folder_of(MODEL)}/{name}")
    assert store.has(MODEL) == (steps == 1) and not store.is_damaged(MODEL)
    assert drop(store) and files(store) == {DROPPED}


CHOICE = Node("selection", 1, {"by": "validation_loss"}, (MODEL.key,), "choice")


def choose(store: Store, key: str) -> None:
    stores.commit(store, CHOICE, {"chosen": key})


def use_candidate(store: Store, sweep: str, *results: Node, droppable: bool = False, passing: bool = True) -> None:
    judged = [Use("results", node.key, node.label, judges=CHOICE.key) for node in results]
    model = Use("model", MODEL.key, MODEL.label, "", droppable, CHOICE.key, passing)
    write_uses(store, sweep, [model, Use("selection", CHOICE.key, CHOICE.label), *judged])


def test_a_candidate_stays_until_another_one_is_chosen(store):
    use_candidate(store, "s", *RESULTS[:2])
    assert not drop(store)
    choose(store, "of another")
    assert drop(store)


def test_the_chosen_model_stays_unless_full_weights_go_once_they_are_judged(store):
    choose(store, MODEL.key)
    use_candidate(store, "s", *RESULTS[:2])
    assert not drop(store)
    use_candidate(store, "s", *RESULTS, droppable=True)
    assert not drop(store), "a pair is not judged yet"
    use_candidate(store, "s", *RESULTS[:2], droppable=True)
    assert drop(store)


def test_a_candidate_stays_where_all_are_kept_or_another_use_needs_it(store):
    choose(store, "of another")
    use_candidate(store, "s", *RESULTS[:2], passing=False)
    assert not drop(store)
    use_candidate(store, "s", *RESULTS[:2])
    use(store, "t", *RESULTS)
    assert not drop(store)
    use(store, "t", *RESULTS[:2])
    assert drop(store)
