"""Data sets that are read once and kept."""

import json
import os

import pytest

from raysweep import hub_rows
from raysweep.errors import UsageError
from raysweep.hub_rows import Wanted, keep

ROWS = [{"text": f"Task {n}.", "tests": [f"assert f({n})"]} for n in range(1200)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "hf"))
    return tmp_path / "cache" / "datasets"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "set"
    path.mkdir()
    (path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (path / "test.jsonl").write_text(json.dumps({"text": "Other.", "tests": []}) + "\n")
    return path


def test_a_folder_is_read_once_and_streamed_from_parquet_in_order(folder, cache, monkeypatch):
    kept = keep(Wanted(str(folder), "train"))
    assert (kept.rows, kept.columns, kept.revision) == (1200, ("text", "tests"), "")
    assert [dict(row.fields) for row in kept.stream()] == ROWS
    assert [path.name for path in cache.iterdir()] == [kept.folder.name]
    monkeypatch.setattr(hub_rows, "_load", None)
    assert keep(Wanted(str(folder), "train")) == kept


def test_rows_know_where_they_are(folder):
    *_, last = keep(Wanted(str(folder), "train")).stream()
    assert last.place == f"{folder}, row 1200"


def test_splits_can_be_joined(folder):
    assert keep(Wanted(str(folder), "test+train")).rows == 1201


def test_a_changed_file_is_read_again_and_the_same_rows_have_the_same_fingerprint(folder):
    before = keep(Wanted(str(folder), "test"))
    os.utime(folder / "test.jsonl", ns=(1, 1))
    touched = keep(Wanted(str(folder), "test"))
    assert touched.folder != before.folder and touched.fingerprint() == before.fingerprint()
    (folder / "test.jsonl").write_text(json.dumps({"text": "Another.", "tests": []}) + "\n")
    assert keep(Wanted(str(folder), "test")).fingerprint() != before.fingerprint()


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.parquet"])
def test_single_files_are_read_by_their_ending(tmp_path, name):
    import pandas

    frame, path = pandas.DataFrame({"text": ["one", "two"]}), tmp_path / name
    write = {"csv": frame.to_csv, "parquet": frame.to_parquet}.get(path.suffix[1:])
    if write is None:
        frame.to_json(path, orient="records", lines=True)
    else:
        write(path, index=False)
    assert [row.fields["text"] for row in keep(Wanted(str(path), "train")).stream()] == ["one", "two"]


def test_a_hubs_set_keeps_its_commit(monkeypatch):
    import datasets

    data = datasets.Dataset.from_list(ROWS[:3])
    monkeypatch.setattr(hub_rows, "_load", lambda wanted, local: (data, "abc123"))
    kept = keep(Wanted("owner/set", "train", revision="main"))
    assert kept.fingerprint() == {"sha256": kept.sha256, "revision": "abc123"}
    about = json.loads((kept.folder / "about.json").read_text())
    assert (about["path"], about["revision"], about["rows"]) == ("owner/set", "abc123", 3)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted("owner/no-such-set", "train"), "no such file or folder, and the hub can't give it"),
        (Wanted("{folder}", "trian"), "Unknown split"),
        (Wanted("{folder}", "train", config="other"), "BuilderConfig 'other' not found"),
        (Wanted("{folder}/rows.txt", "train"), "files end in .parquet"),
        (Wanted("{folder}/none.jsonl", "train"), "the file has no rows"),
    ],
)
def test_what_can_not_be_read_is_told_with_the_way_out_and_leaves_nothing(folder, cache, wanted, said):
    (folder / "rows.txt").touch()
    (folder / "none.jsonl").touch()
    there = Wanted(wanted.path.format(folder=folder), wanted.split, wanted.config)
    with pytest.raises(UsageError, match=said):
        keep(there)
    assert not list(cache.iterdir())


def test_a_damaged_file_is_told(folder):
    kept = keep(Wanted(str(folder), "test"))
    (kept.folder / "rows.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="remove its folder"):
        list(kept.stream())


def test_a_cache_that_can_not_be_written_is_told(folder, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="set RAYSWEEP_CACHE"):
        keep(Wanted(str(folder), "test"))
