"""Backends: a disk and an S3 server behave alike."""

from __future__ import annotations

import fcntl
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from obstore.store import S3Store

from raysweep.errors import UsageError
from raysweep.storage.backends import Backend, LocalDisk, is_full, normal_root, reason_of, write_atomically
from raysweep.storage.object_stores import ObjectStore, _pyarrow_uri

NAMES = ["a", "sub/b.json", "with space/ümlaut [1].txt", "deep/er/and/deep er/x"]


@pytest.fixture(params=["disk", "s3"])
def backend(request, tmp_path, server, account) -> Backend:
    top = tmp_path / "the top [1] ü"
    if request.param == "disk":
        return LocalDisk(top)
    return ObjectStore(server.uri(f"the top [1] ü/{request.node.name[:20]}"), "below")


@pytest.mark.slow
def test_what_is_written_is_read_listed_and_removed(backend):
    for name in NAMES:
        backend.write(name, name.encode())
    assert {name: backend.read(name) for name in NAMES} == {name: name.encode() for name in NAMES}
    listed = backend.infos("")
    assert {name: info.size for name, info in listed.items()} == {name: len(name.encode()) for name in NAMES}
    assert backend.infos("deep/er") == {"and/deep er/x": listed["deep/er/and/deep er/x"]}
    assert backend.info("a") == listed["a"]
    for name in NAMES:
        backend.remove(name)
    assert backend.infos("") == {}


def test_a_missing_file_is_no_error_and_a_folder_no_file(backend):
    backend.write("file", b"x")
    for name in ("none", "none/x", "file/x"):
        assert backend.read(name) is None and backend.info(name) is None and backend.infos(name) == {}
        backend.remove(name)
        backend.remove_folder(name)
    assert backend.read("file") == b"x"
    backend.write("folder/x", b"x")
    assert backend.read("folder") is None and backend.info("folder") is None


def test_a_file_is_replaced_whole_and_its_time_changes(backend):
    backend.write("x", b"old" * 1000)
    before = backend.info("x")
    backend.write("x", b"")
    assert backend.read("x") == b"" and backend.info("x").mtime_ns >= before.mtime_ns
    backend.write("x", b"new")
    assert backend.read("x") == b"new" and set(backend.infos("")) == {"x"}


@pytest.mark.parametrize("kind", ["disk", "disk without locks", "s3"])
def test_a_file_is_swapped_if_it_is_what_was_read_and_only_once(kind, tmp_path, server, account, monkeypatch):
    backend = ObjectStore(server.uri("swapped [1] ü"), "below") if kind == "s3" else LocalDisk(tmp_path / "top [1] ü")
    if kind == "disk without locks":
        monkeypatch.setattr(fcntl, "flock", raising(OSError("no locks")))
    for _ in range(2):
        assert backend.swap("f/x", b"", b"1") and not backend.swap("f/x", b"", b"2")
        assert backend.swap("f/x", b"1", b"3") and not backend.swap("f/x", b"1", b"4") and backend.read("f/x") == b"3"
        assert backend.swap("f/x", b"1", b"3"), "a try whose answer was lost"
        assert backend.swap("f/x", b"3", b"") and not backend.read("f/x")
    assert set(backend.infos("f")) <= {"x", "guard"}


def raising(error: Exception) -> Callable[..., None]:
    def call(*arguments: object) -> None:
        raise error

    return call


def test_a_put_that_is_sent_twice_since_its_answer_was_lost_has_succeeded(server, account, monkeypatch):
    put = S3Store.put

    def twice(*arguments: object, **options: object) -> object:
        put(*arguments, **options)
        return put(*arguments, **options)

    monkeypatch.setattr(S3Store, "put", twice)
    backend = ObjectStore(server.uri("twice"), "")
    assert backend.swap("x", b"", b"1") and backend.swap("x", b"1", b"2") and backend.read("x") == b"2"


@pytest.mark.slow
def test_keys_come_from_the_uri_the_environment_or_a_profile(server, account, monkeypatch, tmp_path):
    def key(uri: str) -> str:
        store = ObjectStore(uri, "")
        assert store.swap(name, b"", b"1")
        bucket = store._conditional
        provider = bucket.credential_provider
        return provider()["access_key_id"] if provider else bucket.config.get("access_key_id", "environment")

    uri, name = server.uri("keys"), "x"
    assert key(uri) == "environment"
    name = "y"
    assert key(uri.replace("://", "://of-uri:secret%2F@")) == "of-uri"
    (tmp_path / "credentials").write_text("[own]\naws_access_key_id = of-profile\naws_secret_access_key = secret\n")
    (tmp_path / "config").write_text("[profile own]\nregion = eu-west-1\n")
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    for variable, value in (("SHARED_CREDENTIALS_FILE", "credentials"), ("CONFIG_FILE", "config")):
        monkeypatch.setenv(f"AWS_{variable}", str(tmp_path / value))
    monkeypatch.setenv("AWS_PROFILE", "own")
    name = "z"
    assert key(uri) == "of-profile"
    monkeypatch.setitem(sys.modules, "obstore.auth.boto3", None)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(OSError, match=r"those in ~/.aws need boto3"):
        key(uri)


def test_removing_a_folder_removes_all_below_it_and_nothing_beside_it(backend):
    for name in ("f/1", "f/g/2", "f-beside/3"):
        backend.write(name, b"x")
    backend.remove_folder("f")
    assert set(backend.infos("")) == {"f-beside/3"}


@pytest.mark.slow
def test_local_files_go_in_and_out_whatever_their_size(backend, tmp_path):
    for size in (0, 1, 11 * 2**20):
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(data := bytes(range(256)) * (size // 256) + b"x" * (size % 256))
        backend.put(source, "some/where")
        backend.get("some/where", target)
        assert target.read_bytes() == data and backend.info("some/where").size == size


def test_readers_never_see_a_part_of_a_file(backend):
    contents = [bytes([number]) * 200_000 for number in range(4)]
    backend.write("x", contents[0])
    over = threading.Event()
    seen = set()

    def read():
        while not over.is_set():
            seen.add(backend.read("x"))

    reader = threading.Thread(target=read)
    reader.start()
    for content in contents * 2:
        backend.write("x", content)
    over.set()
    reader.join()
    assert seen <= set(contents)


def test_a_file_put_from_another_file_system_leaves_nothing_behind(tmp_path):
    if not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs two file systems")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as outside:
        Path(outside, "x").write_bytes(b"x")
        LocalDisk(tmp_path).put(Path(outside, "x"), "sub/x")
    assert LocalDisk(tmp_path).infos("").keys() == {"sub/x"}


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_atomically(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_two_processes_may_remove_one_folder(tmp_path):
    for number in range(300):
        LocalDisk(tmp_path).write(f"f/{number % 7}/{number}", b"")
    with ThreadPoolExecutor(4) as threads:
        removals = [threads.submit(LocalDisk(tmp_path).remove_folder, "f") for _ in range(4)]
    assert [removal.exception() for removal in removals] == [None] * 4
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("root", "normal"),
    [
        ("s3://bucket/x/", "s3://bucket/x"),
        ("S3://Bucket/X/?scheme=http", "s3://Bucket/X?scheme=http"),
        ("/tmp/x/", "/tmp/x"),
        ("~/x", str(Path.home() / "x")),
        ("x", str(Path.cwd() / "x")),
        ("file:///tmp/a%20b", "/tmp/a b"),
        ("/tmp/with [1] ü", "/tmp/with [1] ü"),
    ],
)
def test_a_root_has_one_form(root, normal):
    assert normal_root(root) == normal


def test_a_uri_with_one_slash_is_no_folder():
    with pytest.raises(UsageError, match="two slashes, s3://bucket/x"):
        normal_root("s3:/bucket/x")


def test_a_uri_is_escaped_and_keeps_the_options_that_it_sets():
    assert _pyarrow_uri("gs://b/a b?retry_limit_seconds=3") == "gs://b/a%20b?retry_limit_seconds=3"
    assert _pyarrow_uri("gs://b") == "gs://b?retry_limit_seconds=15"
    assert _pyarrow_uri("s3://b/é%20?scheme=http") == "s3://b/%C3%A9%20?scheme=http&allow_delayed_open=true"


def test_a_file_system_without_writes_on_a_condition_is_refused(tmp_path):
    with pytest.raises(UsageError, match="local is no object store; give a path, or a URI such as s3://bucket/folder"):
        ObjectStore(f"file://{tmp_path}", "").require_root()


def test_keys_in_a_uri_are_not_shown():
    backend = ObjectStore("s3://key:secret@bucket/x?endpoint_override=h", "below")
    assert str(backend) == "s3://bucket/x/below"
    with pytest.raises(UsageError) as error:
        ObjectStore("nonsense://key:secret@bucket/x", "").filesystem
    assert "secret" not in str(error.value) and "nonsense://bucket/x" in str(error.value)


def test_a_full_disk_is_recognised_by_number_and_by_words():
    assert is_full(OSError(28, "No space left on device")) and is_full(RuntimeError("I/O error (os error 28)"))
    assert not is_full(OSError(2, "No such file")) and not is_full(ValueError("os error 281"))
    assert reason_of(OSError(28, "x")) == "no space is left on the disk; free some, or give another one with --storage"
    assert reason_of(OSError("AWS Error X: no (Request ID: abc=)")) == "AWS Error X: no"
    assert reason_of(OSError("X; Details: of curl")) == "X" == reason_of(OSError("X error_info={reason=, domain=}"))
