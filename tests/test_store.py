"""The store: keys, commits, damage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysweep.artefacts import Node, folder_of
from raysweep.errors import StoreError, UsageError
from raysweep.store import MANIFEST, Store


def node(**spec: object) -> Node:
    return Node("results", 1, {"limit": 3, **spec}, ("a" * 64,), "label")


def place(store: Store) -> Path:
    return store.scratch / folder_of(node())


def commit(store: Store, made: Node, text: str = "content") -> None:
    with store.writing(made) as draft:
        (draft.folder / "rows.txt").write_text(text)
        (draft.folder / "sub").mkdir()
        (draft.folder / "sub" / "more.txt").write_text("more")
        draft.counts = {"rows": 1}


def test_a_key_depends_on_stage_version_spec_and_inputs_and_not_on_the_label():
    same = Node("results", 1, {"limit": 3}, ("a" * 64,), "another label")
    assert node().key == same.key
    others = [
        node(limit=4),
        Node("results", 2, {"limit": 3}, ("a" * 64,), "label"),
        Node("completions", 1, {"limit": 3}, ("a" * 64,), "label"),
        Node("results", 1, {"limit": 3}, ("b" * 64,), "label"),
    ]
    assert len({node().key, *(other.key for other in others)}) == 5


def test_a_key_does_not_depend_on_the_order_of_a_specs_entries():
    assert Node("a", 1, {"x": 1, "y": 2}, (), "").key == Node("a", 1, {"y": 2, "x": 1}, (), "").key


def test_what_is_committed_is_there_with_its_manifest(tmp_path):
    store = Store(tmp_path)
    assert not store.has(node())
    commit(store, node())
    assert store.has(node())
    manifest = store.manifest(node())
    assert manifest["spec"] == {"limit": 3} and manifest["counts"] == {"rows": 1}
    assert set(manifest["files"]) == {"rows.txt", "sub/more.txt"}
    assert manifest["made"]["versions"]["raysweep"]
    assert store.folder(node()) == str(tmp_path / "artefacts" / "results" / node().key[:2] / node().key)


def test_an_error_while_writing_commits_nothing_and_leaves_nothing(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.writing(node()) as draft:
        (draft.folder / "rows.txt").write_text("half")
        raise RuntimeError
    assert not store.has(node())
    assert not [path for path in (tmp_path / "staging").iterdir()]


def test_a_folder_without_manifest_does_not_exist(tmp_path):
    store = Store(tmp_path)
    commit(store, node())
    (place(store) / MANIFEST).unlink()
    assert not store.has(node())
    assert store.discard_if_damaged(node()) == ""
    commit(store, node(), "again")
    assert (place(store) / "rows.txt").read_text() == "again"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "rows.txt").write_text("CONTENT"), "another content"),
        (lambda folder: (folder / "rows.txt").write_text("con"), "3 bytes, not 7"),
        (lambda folder: (folder / "sub" / "more.txt").unlink(), "missing"),
        (lambda folder: (folder / MANIFEST).write_text('{"files": '), "manifest"),
        (lambda folder: (folder / MANIFEST).write_text("{}"), "incomplete"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), "incomplete"),
        (lambda folder: (folder / MANIFEST).write_text('{"files": {"rows.txt": 3}}'), "incomplete"),
    ],
)
def test_damage_is_seen_said_and_removed(tmp_path, harm, said):
    store = Store(tmp_path)
    commit(store, node())
    harm(place(store))
    assert not store.has(node())
    assert said in store.discard_if_damaged(node())
    assert not place(store).exists()


def test_a_large_file_is_checked_whole_before_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr("raysweep.digests.FULL_CHECK_BYTES", 3)
    store = Store(tmp_path)
    commit(store, node())
    assert store.use(node()) == place(store)
    (place(store) / "rows.txt").write_text("CONTENT")
    assert store.has(node()), "its size is right, and that is all that is looked at so far"
    with pytest.raises(StoreError, match="removed: run the command again"):
        store.use(node())
    assert not store.has(node())


def test_an_artefact_of_a_newer_schema_is_left_alone(tmp_path):
    store = Store(tmp_path)
    commit(store, node())
    path = place(store) / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    with pytest.raises(StoreError, match="newer raysweep"):
        store.has(node())
    assert path.exists()


def test_checkpoints_go_when_the_artefact_is_committed(tmp_path):
    store = Store(tmp_path)
    store.work(node()).write("step-1/weights", "w")
    commit(store, node())
    assert not store.work(node()).infos()


def test_a_storage_that_cannot_be_written_is_refused(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UsageError, match="can't be written"):
        Store(blocked / "store").require_writable()
    with pytest.raises(UsageError, match="a URI such as s3://"):
        Store("nonsense://bucket/x")
