"""Data sets that are read once and cached."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
from unittest.mock import Mock

import httpx
import pytest

from raysweep.errors import UsageError
from raysweep.rows import hub as hub_rows
from raysweep.rows.hub import DataSetRef, fetch

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
    cached = fetch(DataSetRef(str(folder), "train"))
    assert (cached.rows, cached.columns, cached.revision) == (1200, ("text", "tests"), "")
    rows = list(cached.stream())
    assert [dict(row.fields) for row in rows] == ROWS and rows[-1].place == f"{folder}, row 1200"
    assert [path.name for path in cache.iterdir()] == [cached.folder.name]
    monkeypatch.setattr(hub_rows, "_load", None)
    assert fetch(DataSetRef(str(folder), "train")) == cached
    monkeypatch.undo()
    assert fetch(DataSetRef(str(folder), "test+train")).rows == 1201, "splits can be joined"


def test_objects_of_differing_keys_are_read_as_they_are_written(tmp_path):
    rows = [
        {"messages": [{"role": "user"}, {"weight": 1}], "meta": {"a": 1}, "in": {"x": {"n": 1}, "y": None}, "other": 1},
        {
            "messages": [{"role": "user", "tool_calls": [{"id": "1"}]}],
            "meta": None,
            "in": {"x": [], "y": 2},
            "other": 2,
        },
        {"messages": [], "meta": [{"b": "c"}], "in": None, "other": 3},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [row.fields for row in fetch(DataSetRef(str(path), "train")).stream()] == rows


def test_a_changed_file_is_read_again_and_the_same_rows_have_the_same_fingerprint(folder):
    before = fetch(DataSetRef(str(folder), "test"))
    os.utime(folder / "test.jsonl", ns=(1, 1))
    touched = fetch(DataSetRef(str(folder), "test"))
    assert touched.folder != before.folder and touched.fingerprint() == before.fingerprint()
    (folder / "test.jsonl").write_text(json.dumps({"text": "Another.", "tests": []}) + "\n")
    assert fetch(DataSetRef(str(folder), "test")).fingerprint() != before.fingerprint()


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.parquet"])
def test_single_files_are_read_by_their_ending(tmp_path, name):
    import pandas

    frame, path = pandas.DataFrame({"text": ["one", "two"]}), tmp_path / name
    write = {"csv": frame.to_csv, "parquet": frame.to_parquet}.get(path.suffix[1:])
    if write is None:
        frame.to_json(path, orient="records", lines=True)
    else:
        write(path, index=False)
    assert [row.fields["text"] for row in fetch(DataSetRef(str(path), "train")).stream()] == ["one", "two"]


def test_csv_files_of_a_split_have_the_same_columns_and_those_of_others_do_not_matter(tmp_path):
    files = {"train-1.csv": "b,a\n1,2\n", "train-2.csv": "a,b,c\n2,007,3\n", "test.csv": "a,more\n4,5\n"}
    path = tmp_path / "set"
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)
    ref = DataSetRef(str(path), "train")
    for text in (files["train-2.csv"], "b\n1\n"):
        (path / "train-2.csv").write_text(text)
        with pytest.raises(UsageError, match=r"-\d.csv has the columns [ac], which .*-\d.csv lacks; give all"):
            fetch(ref)
    assert [row.fields for row in fetch(DataSetRef(str(path / "train-2.csv"), "train")).stream()] == [{"b": "1"}]
    (path / "train-2.csv").write_text("a,b\n2,007\n")
    assert [row.fields for row in fetch(ref).stream()] == [{"b": "1", "a": "2"}, {"b": "007", "a": "2"}]
    assert [row.fields for row in fetch(dataclasses.replace(ref, split="test")).stream()] == [{"a": "4", "more": "5"}]
    assert fetch(dataclasses.replace(ref, split="train[1:]")).rows == 1
    with pytest.raises(UsageError, match=r"test.csv has the columns more, which .*train-1"):
        fetch(dataclasses.replace(ref, split="train+test"))
    with pytest.raises(UsageError, match="Unknown split trian; it has train, test"):
        fetch(dataclasses.replace(ref, split="trian"))


def test_the_cache_remembers_the_hubs_commit(monkeypatch):
    import datasets

    data = datasets.Dataset.from_list(ROWS[:3])
    monkeypatch.setattr(hub_rows, "_load", lambda ref, local: (data, "abc123", False))
    cached = fetch(DataSetRef("owner/set", "train", revision="main"))
    assert cached.fingerprint() == {"sha256": cached.sha256, "revision": "abc123"}
    about = json.loads((cached.folder / "about.json").read_text())
    assert (about["path"], about["revision"], about["rows"]) == ("owner/set", "abc123", 3)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        (DataSetRef("owner/no-such-set", "train"), "no such file or folder, and the hub can't give it"),
        (DataSetRef("{folder}", "trian"), "Unknown split"),
        (DataSetRef("{folder}", "train", config="other"), "BuilderConfig 'other' not found"),
        (DataSetRef("{folder}/rows.txt", "train"), "files end in .parquet"),
        (DataSetRef("{folder}/none.jsonl", "train"), "the file has no rows"),
    ],
)
def test_errors_name_the_way_out_and_leave_no_files(folder, cache, ref, message):
    (folder / "rows.txt").touch()
    (folder / "none.jsonl").touch()
    with pytest.raises(UsageError, match=message):
        fetch(dataclasses.replace(ref, path=ref.path.format(folder=folder)))
    assert not list(cache.iterdir())


def test_a_damaged_file_is_reported(folder):
    cached = fetch(DataSetRef(str(folder), "test"))
    (cached.folder / "rows.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="remove its folder"):
        list(cached.stream())


def test_a_cache_that_can_not_be_written_is_reported(folder, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="set RAYSWEEP_CACHE"):
        fetch(DataSetRef(str(folder), "test"))


def test_a_hub_without_a_network_is_no_error_with_httpx_either(monkeypatch):
    """Version 1 of huggingface_hub asks with httpx, whose errors are no OSErrors."""
    get_session = Mock(**{"return_value.head.side_effect": httpx.ConnectError("Name or service not known")})
    monkeypatch.setattr("huggingface_hub.utils.get_session", get_session)
    monkeypatch.setattr(hub_rows, "_answers", [])
    assert hub_rows.hub_is_reachable() is False


@pytest.mark.slow
def test_a_hub_that_can_not_be_reached_is_asked_once(tmp_path):
    asked = []
    code = (
        "from raysweep.errors import RaysweepError\n"
        "from raysweep.models.loading import load_tokenizer; from raysweep.models.finding import resolve\n"
        "from raysweep.records import ModelRef\n"
        "from raysweep.rows.hub import DataSetRef, fetch\n"
        "for ask in (lambda: fetch(DataSetRef('org/name', 'test')), lambda: load_tokenizer(ModelRef('org/name')),\n"
        "            lambda: resolve('org/name'), lambda: fetch(DataSetRef('org/other', 'test'))):\n"
        "    try: ask()\n"
        "    except RaysweepError as error: print(error)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as hub:
        thread = threading.Thread(target=hang_up, args=(hub, asked))
        thread.start()
        own = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.getsockname()[1]}", "HF_HOME": str(tmp_path)}
        env = {**os.environ, **own, "HF_HUB_OFFLINE": "0"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
        hub.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 4, done.stdout + done.stderr
    assert len(asked) == 1


def hang_up(hub, asked):
    """Read requests and answer none, until the server is shut down."""
    while True:
        try:
            connection, address = hub.accept()
        except OSError:
            return
        connection.recv(65536)  # closed before, the client might take it for its own mistake and try again
        connection.close()
        asked.append(address)
