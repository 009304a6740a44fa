"""Places: a disk, an S3 server, and any file system by URI do the same."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from raysweep.errors import UsageError
from raysweep.storage.object_stores import ObjectStore, _complete
from raysweep.storage.places import Disk, Place, is_full, normal_root, reason_of, write_atomically
from tests.storage.object_store import ACCOUNT, served

NAMES = ["a", "sub/b.json", "with space/ümlaut [1].txt", "deep/er/and/deep er/x"]


@pytest.fixture(scope="module")
def server():
    with served() as running:
        yield running


@pytest.fixture(params=["disk", "s3", "file system"])
def place(request, tmp_path, server, monkeypatch) -> Place:
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    top = tmp_path / "the top [1] ü"
    if request.param == "disk":
        return Disk(top)
    if request.param == "file system":
        return ObjectStore(f"file://{top}", "below")
    return ObjectStore(server.uri(f"the top [1] ü/{request.node.name[:20]}"), "below")


def test_what_is_written_is_read_listed_and_removed(place):
    for name in NAMES:
        place.write(name, name.encode())
    assert {name: place.read(name) for name in NAMES} == {name: name.encode() for name in NAMES}
    listed = place.infos("")
    assert {name: info.size for name, info in listed.items()} == {name: len(name.encode()) for name in NAMES}
    assert place.infos("deep/er") == {"and/deep er/x": listed["deep/er/and/deep er/x"]}
    assert place.info("a") == listed["a"]
    for name in NAMES:
        place.remove(name)
    assert place.infos("") == {}


def test_what_is_not_there_is_no_error(place):
    place.write("file", b"x")
    for name in ("none", "none/x", "file/x"):
        assert place.read(name) is None and place.info(name) is None and place.infos(name) == {}
        place.remove(name)
        place.remove_folder(name)
    assert place.read("file") == b"x"


def test_a_folder_is_no_file(place):
    place.write("folder/x", b"x")
    assert place.read("folder") is None and place.info("folder") is None


def test_a_file_is_replaced_whole_and_times_tell_it(place):
    place.write("x", b"old" * 1000)
    before = place.info("x")
    place.write("x", b"")
    assert place.read("x") == b"" and place.info("x").mtime_ns >= before.mtime_ns
    place.write("x", b"new")
    assert place.read("x") == b"new" and set(place.infos("")) == {"x"}


def test_a_folder_goes_with_all_below_it_and_nothing_beside_it(place):
    for name in ("f/1", "f/g/2", "f-beside/3"):
        place.write(name, b"x")
    place.remove_folder("f")
    assert set(place.infos("")) == {"f-beside/3"}


def test_local_files_go_in_and_out_whatever_their_size(place, tmp_path):
    for size in (0, 1, 11 * 2**20):
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(data := bytes(range(256)) * (size // 256) + b"x" * (size % 256))
        place.put(source, "some/where")
        place.get("some/where", target)
        assert target.read_bytes() == data and place.info("some/where").size == size


def test_readers_never_see_a_part_of_a_file(place):
    contents = [bytes([number]) * 200_000 for number in range(4)]
    place.write("x", contents[0])
    over = threading.Event()
    seen = set()

    def read():
        while not over.is_set():
            seen.add(place.read("x"))

    reader = threading.Thread(target=read)
    reader.start()
    for content in contents * 5:
        place.write("x", content)
    over.set()
    reader.join()
    assert seen <= set(contents)


def test_a_file_put_from_another_file_system_leaves_nothing_behind(tmp_path):
    outside = Path("/dev/shm") / f"raysweep-{tmp_path.name}"
    if not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs two file systems")
    outside.write_bytes(b"x")
    try:
        Disk(tmp_path).put(outside, "sub/x")
    finally:
        outside.unlink(missing_ok=True)
    assert Disk(tmp_path).infos("").keys() == {"sub/x"}


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_atomically(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_two_processes_may_remove_one_folder(tmp_path):
    for number in range(300):
        Disk(tmp_path).write(f"f/{number % 7}/{number}", b"")
    both = [threading.Thread(target=Disk(tmp_path).remove_folder, args=("f",)) for _ in range(4)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
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


def test_a_uri_is_escaped_and_our_options_yield_to_given_ones():
    assert _complete("gs://b/a b?retry_limit_seconds=3") == "gs://b/a%20b?retry_limit_seconds=3"
    assert _complete("gs://b") == "gs://b?retry_limit_seconds=15"
    assert _complete("s3://b/é%20?scheme=http") == "s3://b/%C3%A9%20?scheme=http&allow_delayed_open=true"


def test_keys_in_a_uri_are_not_shown():
    place = ObjectStore("s3://key:secret@bucket/x?endpoint_override=h", "below")
    assert str(place) == "s3://bucket/x/below"
    with pytest.raises(UsageError) as error:
        place_of = ObjectStore("nonsense://key:secret@bucket/x", "")
        place_of.filesystem
    assert "secret" not in str(error.value) and "nonsense://bucket/x" in str(error.value)


def test_a_full_disk_is_known_by_number_and_by_words():
    assert is_full(OSError(28, "No space left on device")) and is_full(RuntimeError("I/O error (os error 28)"))
    assert not is_full(OSError(2, "No such file")) and not is_full(ValueError("os error 281"))
    assert reason_of(OSError(28, "x")) == "no space is left on the disk; free some, or give another one with --storage"
    assert reason_of(OSError("AWS Error X: no (Request ID: abc=)")) == "AWS Error X: no"
    assert reason_of(OSError("X; Details: of curl")) == "X" == reason_of(OSError("X error_info={reason=, domain=}"))
