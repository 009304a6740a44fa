"""The store: keys, commits, damage."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from raysweep.errors import HopelessError, OtherSchema, StoreError
from raysweep.hashing import canonical_json
from raysweep.records import ModelRef
from raysweep.rows.parquet import ROWS
from raysweep.storage import copies, files
from raysweep.storage.artefacts import ENDED, MANIFEST, Node, SharedSpec, folder_of
from raysweep.storage.integrity import manifest_of
from raysweep.storage.store import Store, location_of
from tests.clock import Clock

MODEL = Node("model", 1, {}, (), "model")


def node(**spec: object) -> Node:
    return Node("results", 1, {"limit": 3, **spec}, ("a" * 64,), "label")


def place(store: Store) -> Path:
    return store.scratch / folder_of(node())


ON_DISK, IN_OBJECT_STORE = (
    pytest.mark.parametrize("store", [kind], indirect=True) for kind in ("disk", "object store")
)


@pytest.fixture(params=["disk", "object store"])
def store(request, tmp_path, server, account, monkeypatch) -> Store:
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "store" if request.param == "disk" else server.uri(request.node.name.partition("[")[0])
    store = Store(f"{root}" if request.param == "disk" else root.replace("?", f"{time.time_ns()}?"))
    store.require_writable()
    return store


def stored_files(store: Store) -> set[str]:
    return set(store.files.infos(folder_of(node())))


def commit(store: Store, node: Node, text: str = "content") -> None:
    with store.writing(node) as draft:
        (draft.folder / ROWS).write_text(text)
        (draft.folder / "sub").mkdir()
        (draft.folder / "sub" / "more.txt").write_text("more")
        draft.counts = {"rows": 1}


@pytest.mark.slow
def test_a_committed_artefact_exists_with_its_manifest(store):
    assert not store.has(node())
    commit(store, node())
    assert store.has(node()) and Store(store.root).has(node())
    manifest = store.manifest(node())
    assert manifest["spec"] == {"limit": 3} and manifest["counts"] == {"rows": 1}
    assert set(manifest["files"]) == {ROWS, "sub/more.txt"} == stored_files(store) - {MANIFEST}
    assert manifest["made"]["versions"]["raysweep"]
    assert store.folder(node()) == f"{store.files}/artefacts/results/{node().key[:2]}/{node().key}"
    assert (store.use(node()) / "sub" / "more.txt").read_text() == "more"


def test_an_error_while_writing_commits_nothing_and_leaves_nothing(store):
    with pytest.raises(RuntimeError), store.writing(node()) as draft:
        (draft.folder / ROWS).write_text("half")
        raise RuntimeError
    assert not store.has(node()) and not stored_files(store)
    assert not list((store.scratch / "staging").iterdir())


def test_a_folder_without_manifest_does_not_exist_and_is_written_anew(store):
    assert store.discard_if_damaged(node()) == ""
    commit(store, node())
    store = Store(store.root)
    store.files.remove(f"{folder_of(node())}/{MANIFEST}")
    store.files.write(f"{folder_of(node())}/model-00002.safetensors", "of a run that was cut short")
    assert not store.has(node()) and store.is_damaged(node())
    assert "no manifest" in store.discard_if_damaged(node())
    assert ROWS in stored_files(store), "another process may be writing the manifest at this moment"
    commit(store, node(), "again")
    assert (store.use(node()) / ROWS).read_text() == "again"
    assert stored_files(store) == {ROWS, "sub/more.txt", MANIFEST}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "damage"),
    [
        (ROWS, "CONTENT", "another content"),
        ("sub/more.txt", None, "missing"),
    ],
)
def test_damage_is_noticed_reported_removed_and_not_in_the_way_of_a_new_artefact(store, name, content, damage):
    commit(store, node())
    store = Store(store.root)
    if store.files.local is None and damage == "another content":
        time.sleep(1.1)  # times of objects are in seconds
    if content is None:
        store.files.remove(f"{folder_of(node())}/{name}")
    else:
        store.files.write(f"{folder_of(node())}/{name}", content)
    assert not store.has(node()) and store.is_damaged(node())
    assert damage in store.discard_if_damaged(node())
    assert not stored_files(store) and not store.is_damaged(node())
    commit(store, node())
    assert store.has(node())


@ON_DISK
@pytest.mark.parametrize(
    ("name", "content", "damage"),
    [
        (ROWS, "con", "3 bytes, not 7"),
        (MANIFEST, '{"files": ', "manifest"),
        (MANIFEST, "{}", "incomplete"),
        (MANIFEST, "[]", "incomplete"),
        (MANIFEST, '{"files": {"rows.parquet": 3}}', "incomplete"),
        (MANIFEST, '{"files": {"rows.parquet": null}}', "incomplete"),
        (MANIFEST, '{"files": {"rows.parquet": {"bytes": 7}}, "schema_version": "x"}', "incomplete"),
    ],
)
def test_a_cut_file_or_manifest_is_damage(store, name, content, damage):
    test_damage_is_noticed_reported_removed_and_not_in_the_way_of_a_new_artefact(store, name, content, damage)


@pytest.mark.slow
def test_damage_is_noticed_before_use_at_the_latest(store):
    commit(store, node())
    store.forget(node())
    store.files.write(f"{folder_of(node())}/rows.parquet", "CONTENT")
    with pytest.raises(StoreError, match=r"label is damaged \(rows.parquet has another content.*run the command again"):
        store.use(node())
    assert not store.has(node())
    with pytest.raises(StoreError, match="label is not in the store"):
        store.use(node())


def test_a_report_checks_an_artefact_once_and_every_byte_before_use(tmp_path):
    store, one = Store(tmp_path), node(seed=1)
    store.require_writable()
    commit(store, one)
    data = Path(store.folder(one)) / ROWS
    with store.checking_once():
        assert store.has(one)
        data.write_text("other")
        assert store.has(one) and store.counts(one)
        with pytest.raises(StoreError, match="damaged"):
            store.use(one)
        assert not store.has(one)
    commit(store, one)
    with store.checking_once():
        assert store.has(one)
        Store(tmp_path).remove(one)  # as another process does
        assert not store.has(one)
        with pytest.raises(StoreError, match="label is not in the store; run the command again"):
            store.manifest(one)
    commit(store, one)
    assert store.manifest(one)["label"] == one.label
    with store.checking_once():
        assert store.has(one)
    data.write_text("other")
    assert not store.has(one)


@pytest.mark.slow
@IN_OBJECT_STORE
def test_a_damaged_copy_is_fetched_again_and_harms_nobody(store):
    commit(store, node())
    for harm in (
        lambda folder: (folder / ROWS).write_text("CONTENT"),
        lambda folder: (folder / "sub" / "more.txt").unlink(),
        lambda folder: (folder / MANIFEST).unlink(),
        shutil.rmtree,
    ):
        harm(place(store))
        assert (store.use(node()) / ROWS).read_text() == "content"
        assert (store.use(node()) / "sub" / "more.txt").read_text() == "more"
    assert stored_files(store) == {ROWS, "sub/more.txt", MANIFEST}


@pytest.mark.slow
def test_an_artefact_may_be_forgotten_and_fetched_by_many_at_once(store):
    commit(store, node())
    failed = []

    def use():
        for _ in range(4):
            try:
                store.use(node())
                Store(store.root).forget(node())
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not [error for error in failed if "damaged" in str(error)]
    assert Store(store.root).has(node()) and stored_files(store) == {ROWS, "sub/more.txt", MANIFEST}


@IN_OBJECT_STORE
def test_a_copy_that_others_keep_removing_is_no_damage(store, monkeypatch):
    commit(store, node())
    real = copies.difference

    def racing(*arguments, **more):
        shutil.rmtree(place(store), ignore_errors=True)
        return real(*arguments, **more)

    monkeypatch.setattr(copies, "difference", racing)
    assert (store.use(node()) / ROWS).read_text() == "content"
    assert stored_files(store) == {ROWS, "sub/more.txt", MANIFEST}


@IN_OBJECT_STORE
def test_a_copy_that_another_process_has_placed_meanwhile_stays(store, monkeypatch):
    commit(store, node())
    store.forget(node())
    fetch, used = store.files.fetch, []

    def late(*arguments):
        used.append(Store(store.root).use(node()).stat().st_ino)
        return fetch(*arguments)

    monkeypatch.setattr(store.files, "fetch", late)
    assert store.use(node()).stat().st_ino == used[0] and len(used) == 1


@IN_OBJECT_STORE
def test_a_spoilt_copy_that_cannot_be_moved_away_is_never_used(store, monkeypatch):
    commit(store, node())
    spoilt = store.use(node())
    (spoilt / ROWS).write_text("spoilt")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refusing(Path.replace, spoilt))
        told = rf"^{spoilt}: the copy there can't be moved away \(Permission denied\); remove this folder, or"
        for use in (Store(store.root).use, store.forget, store.remove):
            with pytest.raises(StoreError, match=told):
                use(node())
        commit(Store(store.root), node(limit=4))  # others are no concern of it
    commit(store, node())
    assert Store(store.root).use(node()) == spoilt and (spoilt / ROWS).read_text() != "spoilt"


def test_an_artefact_that_another_process_has_made_again_is_not_removed(store, monkeypatch):
    commit(store, node())
    slow, quick = Store(store.root), Store(store.root)
    store.files.write(f"{folder_of(node())}/rows.parquet", "con")
    real = slow._integrity.damage

    def damage(*arguments, **more):
        result = real(*arguments, **more)
        quick.discard_if_damaged(node())
        commit(quick, node())
        return result

    monkeypatch.setattr(slow._integrity, "damage", damage)
    assert "3 bytes" in slow.discard_if_damaged(node())
    assert quick.has(node()) and Store(store.root).has(node())


def test_a_large_file_is_checked_whole_before_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr("raysweep.hashing.FULL_CHECK_BYTES", 3)
    store = Store(tmp_path)
    commit(store, node())
    assert store.use(node()) == place(store)
    (place(store) / ROWS).write_text("CONTENT")
    assert store.has(node()), "only its size is checked so far"
    with pytest.raises(StoreError, match="removed: run the command again"):
        store.use(node())
    assert not store.has(node())


@ON_DISK
def test_an_artefact_of_another_schema_is_left_alone(store):
    commit(store, node())
    name = f"{folder_of(node())}/{MANIFEST}"
    newer = {**json.loads(store.files.read(name)), "schema_version": 99, "colour": "red"}
    store.files.write(name, json.dumps(newer))
    for look in (Store.has, Store.use, Store.discard_if_damaged, Store.manifest):
        with pytest.raises(OtherSchema, match="newer raysweep"):
            look(Store(store.root), node())
    assert stored_files(store) == {ROWS, "sub/more.txt", MANIFEST}


@ON_DISK
def test_a_manifest_may_have_unknown_entries(store):
    commit(store, node())
    name = f"{folder_of(node())}/{MANIFEST}"
    store.files.write(name, json.dumps({**json.loads(store.files.read(name)), "colour": "red"}))
    assert Store(store.root).has(node())


def test_a_store_that_is_away_for_a_moment_is_not_damaged(tmp_path, monkeypatch):
    store, clock = Store(tmp_path / "store"), Clock()
    monkeypatch.setattr(files, "time", clock)
    store.require_writable()
    commit(store, node())
    away = tmp_path / "away"
    read = store.files.read

    def read_and_go(name: str) -> bytes | None:
        text = read(name)
        (tmp_path / "store").rename(away)
        clock.after(0.7, lambda: away.rename(tmp_path / "store"))
        return text

    monkeypatch.setattr(store._integrity._files, "read", read_and_go)
    assert store.has(node())
    monkeypatch.undo()
    assert store.has(node()) and stored_files(store) == {ROWS, "sub/more.txt", MANIFEST}


@pytest.mark.parametrize("is_left", [True, False], ids=["an empty folder is left", "nothing is left"])
def test_what_is_written_while_the_root_is_away_is_in_the_artefact_and_nothing_in_its_place(
    tmp_path, monkeypatch, is_left
):
    root, away, clock = tmp_path / "store", tmp_path / "away", Clock()
    monkeypatch.setattr(files, "time", clock)
    store = Store(root)
    store.require_writable()

    def bring_back():
        if is_left:
            root.rmdir()  # it is empty
        away.rename(root)

    with store.writing(MODEL) as draft:
        (draft.folder / "config.json").write_text("{}")
        root.rename(away)
        if is_left:
            root.mkdir()
        os.makedirs(draft.folder, exist_ok=True)  # noqa: PTH103  as `save_pretrained` does
        (draft.folder / "model.safetensors").write_text("weights")
        (draft.folder / "sub").mkdir()
        (draft.folder / "sub" / "more.json").write_text("{}")
        clock.after(20, bring_back)
    assert set(store.manifest(MODEL)["files"]) == {"config.json", "model.safetensors", "sub/more.json"}
    assert Store(root).has(MODEL) and (store.use(MODEL) / "model.safetensors").read_text() == "weights"
    assert not list((root / "staging").iterdir())


@pytest.mark.parametrize(("stage", "lack"), [("results", ROWS), ("model", "safetensors"), ("base_model", "weights")])
def test_an_artefact_without_the_file_that_its_stage_must_have_is_never_committed_or_used(tmp_path, stage, lack):
    store, of_stage = Store(tmp_path), Node(stage, 1, {}, (), "label")
    told = f"label: .*{lack}.* is missing among what was written: config.json"
    with pytest.raises(HopelessError, match=told), store.writing(of_stage) as draft:
        (draft.folder / "config.json").write_text("{}")
    assert not store.is_damaged(of_stage)
    store.files.write(f"{folder_of(of_stage)}/{MANIFEST}", manifest_of(of_stage, {}, {}, 0.0))
    assert not store.has(of_stage) and store.is_damaged(of_stage)
    with pytest.raises(StoreError, match=r"is damaged .* is missing\); it was removed"):
        store.use(of_stage)


def test_a_model_whose_work_ended_without_one_needs_no_weights(tmp_path):
    store = Store(tmp_path)
    with store.writing(MODEL) as draft:
        draft.counts = {ENDED: "not reproduced"}
    assert store.has(MODEL)


def test_checkpoints_go_when_the_artefact_is_committed(store):
    store.unfinished(node()).write("step-1/weights", "w")
    commit(store, node())
    assert not store.unfinished(node()).infos()


@ON_DISK
def test_the_draft_of_a_killed_process_is_removed_by_the_next_one(store):
    left = store.scratch / "staging" / f"results-{node().key[:16]}-killed"
    other = store.scratch / "staging" / "results-of-somebody-else"
    for folder in (left, other):
        folder.mkdir(parents=True)
    commit(store, node())
    assert not left.exists() and other.exists()


def test_a_model_in_the_store_is_found_by_every_machine(store, monkeypatch, tmp_path):
    commit(store, node())
    adapter = ModelRef(location_of(node()), base=ModelRef("some/hub-id"))
    located = store.located(adapter)
    assert (located.location, located.base.location) == (str(place(store)), "some/hub-id")
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "of another machine"))
    other = Store(store.root)
    folder = Path(other.located(ModelRef("x", base=ModelRef(location_of(node())))).base.location)
    assert (folder / ROWS).read_text() == "content"


def test_many_artefacts_are_checked_in_parallel(store):
    nodes = [node(limit=number) for number in range(6)]
    for each in nodes[::2]:
        commit(store, each)
    other = Store(store.root)
    other.survey(nodes)
    assert [other.has(each) for each in nodes] == [number % 2 == 0 for number in range(6)]


@ON_DISK
def test_a_full_disk_is_named_whatever_library_reports_it(store):
    for error in (
        OSError(28, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ):
        with pytest.raises(StoreError, match=r"label, in .*: no space is left on the disk"), store.writing(node()):
            raise error


@IN_OBJECT_STORE
def test_an_old_copy_that_cannot_be_moved_away_does_not_stand_in_for_a_new_artefact(store, monkeypatch):
    commit(store, node())
    old = store.use(node())
    store.files.remove(f"{folder_of(node())}/{MANIFEST}")
    monkeypatch.setattr(Path, "replace", refusing(Path.replace, old))
    with pytest.raises(StoreError, match="the copy there can't be moved away"):
        commit(Store(store.root), node(), "made again")


@IN_OBJECT_STORE
def test_a_copy_that_cannot_be_put_in_its_place_is_told_and_one_that_is_there_already_is_not(store, monkeypatch):
    commit(store, node())
    store.forget(node())
    store.forget(node())  # there is none
    target, replace = place(store), Path.replace
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refusing(replace, target))
        with pytest.raises(StoreError, match=rf"^{target}: .* \(Permission denied\); remove this folder"):
            Store(store.root).use(node())

    def slow(path, to):
        if to == target:  # another process places a whole copy just before
            shutil.copytree(path, to)
        return replace(path, to)

    monkeypatch.setattr(Path, "replace", slow)
    assert (Store(store.root).use(node()) / ROWS).read_text() == "content"


def refusing(replace, folder: Path):
    """Return Path.replace, which may not move a folder or put something in its place."""

    def refused(path, target):
        if folder in (Path(path), Path(target)):
            raise PermissionError(13, "Permission denied")
        return replace(path, target)

    return refused


def test_a_key_is_the_hash_of_the_canonical_json_of_all_that_determines_it():
    spec = {"b": [1, None], "a": 'ä"\\'}
    content = {"stage": "results", "version": 3, "spec": spec, "inputs": ["ab" * 32, "cd" * 32]}
    key = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    for given in (spec, SharedSpec(spec)):
        assert Node("results", 3, given, ("ab" * 32, "cd" * 32), "any label").key == key
    alone = {**content, "inputs": []}
    assert Node("results", 3, spec, (), "").key == hashlib.sha256(canonical_json(alone).encode()).hexdigest()
