"""Files of a root: waiting for a root that vanishes, its marker, errors in one sentence, use in other processes."""

from __future__ import annotations

import json
import os
import pickle
import threading
from pathlib import Path

import pytest
from obstore.store import S3Store

from raysweep.errors import OtherSchema, StoreError, UsageError
from raysweep.storage import files as files_module
from raysweep.storage.files import MARKER, Files
from tests.clock import Clock
from tests.storage.object_store import served


@pytest.fixture(params=["disk", "s3"])
def files(request, tmp_path, server, account) -> Files:
    root = str(tmp_path / "store") if request.param == "disk" else server.uri(request.node.name[:30])
    files = Files(root)
    files.require_writable()
    return files


@pytest.fixture
def disk(tmp_path) -> Files:
    files = Files(str(tmp_path / "store"))
    files.require_writable()
    return files


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The clock of all that waits for a storage."""
    made = Clock()
    monkeypatch.setattr(files_module, "time", made)
    return made


def away(files: Files, seconds: float, clock: Clock) -> None:
    """Take the root away now and bring it back after some seconds."""
    root, elsewhere = Path(files.root), Path(f"{files.root}-away")
    root.rename(elsewhere)

    def bring_back():
        if root.exists():
            root.rmdir()  # empty, like the folder of an unmounted disk
        elsewhere.rename(root)

    clock.after(seconds, bring_back)


def test_files_below_a_folder_are_named_relative_to_it(files):
    below = files.below("a/b")
    below.write("x", "text")
    assert files.read("a/b/x") == b"text" == below.read("x") == files.below("a").below("b").read("x")
    assert set(files.infos("a")) == {"b/x"} and set(below.infos()) == {"x"}
    assert str(below) == f"{files}/a/b"


def test_files_travel_to_other_processes(files):
    files.write("x", "1")
    other = pickle.loads(pickle.dumps(files.below("sub")))
    assert other.expected and str(other) == f"{files}/sub" and other.read("none") is None
    other.write("y", "2")
    assert files.read("sub/y") == b"2"


def test_a_folder_is_written_and_read_through_a_local_one(files):
    with files.writing("c/step-1") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "w").write_bytes(b"w" * 1000)
        (folder / "e").touch()
    with files.reading("c/step-1") as folder:
        assert (folder / "sub" / "w").read_bytes() == b"w" * 1000 and (folder / "e").read_bytes() == b""
    assert set(files.infos("c")) == {"step-1/sub/w", "step-1/e"}


def test_an_error_in_a_folder_being_written_reaches_no_object_store(server, account):
    files = Files(server.uri("error"))
    with pytest.raises(RuntimeError), files.writing("c") as folder:
        (folder / "w").write_text("half")
        raise RuntimeError
    assert not files.infos()


def test_a_root_that_vanishes_is_waited_for_in_reads_and_writes(disk, caplog, clock):
    disk.write("x", "1")
    for use in (
        lambda: disk.read("x"),
        lambda: disk.infos()["x"],
        lambda: disk.info("x"),
        lambda: disk.write("y", "2") or "written",
        lambda: disk.await_root() or "there",
    ):
        away(disk, 100, clock)
        started = clock.monotonic()
        assert use()
        assert 100 <= clock.monotonic() - started < 120
    assert disk.read("x") == b"1" and disk.read("y") == b"2"
    assert "waiting up to 120 s for it" in caplog.text and "is back" in caplog.text


def test_the_empty_folder_that_an_unmounted_disk_leaves_is_not_written_into(disk, clock):
    away(disk, 100, clock)
    root = Path(disk.root)
    root.mkdir()
    disk.write("deep/y", "2")
    with disk.writing("folder") as folder:
        (folder / "z").write_text("3")
        away(disk, 100, clock)
        (folder / "deep").mkdir()
        (folder / "deep" / "z").write_text("4")
    assert disk.read("deep/y") == b"2" and disk.read("folder/z") == b"3" and disk.read("folder/deep/z") == b"4"


def test_what_failed_while_the_root_was_away_is_done_again_and_what_fails_beside_it_is_not(disk, clock, caplog):
    away(disk, 100, clock)
    tries = []

    def work() -> bytes:
        tries.append(clock.monotonic())
        return (disk.local / MARKER).read_bytes()

    assert disk.steadily(work) and tries[1] - tries[0] >= 100 and len(tries) == 2
    with pytest.raises(ZeroDivisionError):
        disk.steadily(lambda: 1 / 0)
    away(disk, 1000, clock)
    with pytest.raises(StoreError, match="is gone"):
        disk.steadily(work)


def test_a_root_that_stays_away_is_an_error_that_names_it(disk, clock):
    away(disk, 1000, clock)
    with pytest.raises(StoreError, match=rf"storage {disk.root}: its folder, or the file {MARKER} in it, is gone"):
        disk.read("x")
    with pytest.raises(StoreError):
        disk.write("x", "1", patient=False)


def test_a_root_that_never_existed_is_not_waited_for(tmp_path):
    files = Files(str(tmp_path / "none"))
    assert files.read("x") is None and files.infos() == {} and files.info("x") is None


@pytest.mark.slow
def test_a_server_that_is_away_is_waited_for(account, clock, tmp_path):
    (tmp_path / "y").write_text("2")
    with served() as server:
        files = Files(server.uri("vanishing"))
        files.require_writable()
        files.write("x", "1")
        server.stop()
        clock.after(3, server.start)
        files.put(tmp_path / "y", "y")
        assert files.read("y") == b"2" and set(files.infos()) == {"x", "y", MARKER}


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_an_error_at_once(account, clock):
    files = Files("s3://bucket/x?endpoint_override=127.0.0.1:1&scheme=http")
    started = clock.monotonic()
    with pytest.raises(UsageError, match=r"storage 's3://bucket/x' can't be written: .*onnect"):
        files.require_writable()
    with pytest.raises(StoreError, match="onnect"):
        files.read("x")
    assert clock.monotonic() == started, "what is away is waited for 120 s"


def test_a_bucket_that_does_not_exist_is_named(server, account):
    files = Files(server.uri("x", bucket="no-such-bucket"))
    with pytest.raises(UsageError, match="bucket does not exist"):
        files.require_writable()
    with pytest.raises(UsageError, match="there is no bucket 'no-such-bucket'"):
        files.require_known()


def test_a_server_that_ignores_conditions_is_refused(server, account, monkeypatch):
    put = S3Store.put
    monkeypatch.setattr(S3Store, "put", lambda store, path, data, *, mode: put(store, path, data))
    with pytest.raises(UsageError, match=r"can't be written: its server ignores conditions on writes"):
        Files(server.uri("ignores")).require_writable()


@pytest.mark.parametrize("uri", ["nonsense://bucket/x", "s3://", "s3:///x", "s3://bucket/x?colour=red", "s3:/bucket"])
def test_a_uri_that_means_nothing_is_refused_at_once(uri):
    with pytest.raises(UsageError, match="s3://bucket"):
        Files(uri)


def test_a_root_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't be written: Not a directory; give another one with --storage"):
        Files(str(tmp_path / "file" / "store")).require_writable()


def test_a_store_with_another_schema_is_left_alone_by_writers_and_readers(files):
    for schema, words in (
        (2, r"by an older raysweep \(schema 2, this one reads 3\); give a new folder with --storage"),
        (99, r"by a newer raysweep \(schema 99, this one reads 3\); upgrade raysweep or give a new folder"),
    ):
        files.write(MARKER, json.dumps({"schema_version": schema, "colour": "red"}))
        before = set(files.infos())
        for look in (Files(files.root).require_writable, Files(files.root).require_known):
            with pytest.raises(OtherSchema, match=words):
                look()
        assert set(files.infos()) == before


def test_a_broken_marker_still_marks_the_root(files):
    for content in ("", "{", "[]", '{"schema_version": "x"}', "\0\0"):
        files.write(MARKER, content)
        Files(files.root).require_writable()
        Files(files.root).require_known()


def test_a_folder_without_a_marker_gets_one(tmp_path):
    (tmp_path / "store" / "artefacts").mkdir(parents=True)
    files = Files(str(tmp_path / "store"))
    files.require_known()
    assert not (tmp_path / "store" / MARKER).exists(), "readers write nothing"
    files.require_writable()
    assert (tmp_path / "store" / MARKER).exists() and files.expected


def test_one_root_may_be_given_in_many_ways(tmp_path, monkeypatch):
    real = tmp_path / "the store [1] ü"
    Files(str(real)).require_writable()
    Files(str(real)).write("x", "1")
    (tmp_path / "link").symlink_to(real)
    for root in (real.name, f"{real}/", str(tmp_path / "link"), f"../{tmp_path.name}/{real.name}", real.as_uri()):
        monkeypatch.chdir(tmp_path)
        files = Files(root)
        files.require_writable()
        monkeypatch.chdir("/")
        assert files.read("x") == b"1" and set(files.infos()) == {"x", MARKER}, root


def test_a_home_folder_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    Files("~/store").require_writable()
    assert (tmp_path / "store" / MARKER).exists()


def test_reading_whole_folders_while_they_change_is_no_error(disk):
    over = threading.Event()

    def change():
        while not over.is_set():
            for number in range(20):
                disk.write(f"f/{number}/x", "1")
            disk.remove_folder("f")

    thread = threading.Thread(target=change)
    thread.start()
    for _ in range(30):
        disk.infos()
    over.set()
    thread.join()


def test_a_file_that_may_not_be_read_is_an_error_and_not_an_absent_one(disk):
    disk.write("x", "1")
    disk.local.joinpath("x").chmod(0)
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    with pytest.raises(StoreError, match="Permission denied"):
        disk.read("x")
