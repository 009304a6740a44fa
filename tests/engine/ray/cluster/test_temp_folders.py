"""The folders of a Ray that raysweep starts."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysweep.config.document import ConfigError
from raysweep.config.loading import load_config
from raysweep.config.schema import RayConfig
from raysweep.engine.ray.cluster import temp_folders
from raysweep.engine.ray.cluster.cluster import Cluster
from raysweep.engine.ray.cluster.temp_folders import (
    ALIVE,
    DEFAULT,
    LONGEST,
    SILENT_SECONDS,
    SOCKET,
    make_folder,
    remove_stale,
    sockets_root,
    spill_root,
    why_no_sockets,
)
from raysweep.errors import UsageError
from raysweep.sweep.guards import require_resources
from tests.paths import NANO


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="s", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def test_the_folder_is_where_the_environment_says_or_in_tmp(short, monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    assert sockets_root() == (DEFAULT, "")
    for folder in (short, short / "new", f"{short}/."):
        monkeypatch.setenv("RAY_TMPDIR", str(folder))
        root, refused = sockets_root()
        assert not refused and root.samefile(folder)
    assert [path.name for path in short.iterdir()] == ["new"]


def test_a_folder_that_takes_no_sockets_is_named_with_the_reason(short, tmp_path, monkeypatch):
    (short / "file").write_text("")
    for folder, reason in (
        (tmp_path / ("x" * 90), "bytes, and Ray's sockets leave"),
        (short / "file", "File exists"),
        ("/proc/none", "No such file or directory"),
    ):
        monkeypatch.setenv("RAY_TMPDIR", str(folder))
        root, refused = sockets_root()
        assert root == DEFAULT and refused.startswith(f"RAY_TMPDIR {folder} can't hold Ray's sockets (")
        assert reason in refused and refused.endswith("Ray's folder is in /tmp")


def test_what_is_short_enough_leaves_room_for_the_longest_socket(short):
    room = LONGEST - len(f"{short}//rs-{os.getpid()}-abcd0/{SOCKET}")
    fits, too_long = (short / ("x" * (room + more)) for more in (0, 1))
    for folder in (fits, too_long):
        folder.mkdir()
        assert bool(why_no_sockets(folder)) is (folder is too_long)
    with socket.socket(socket.AF_UNIX) as made:
        place = make_folder(fits) / SOCKET
        place.parent.mkdir(parents=True)
        made.bind(str(place))


def test_folders_of_killed_processes_of_this_machine_are_removed(short, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    gone = process.pid
    mine, again = make_folder(short), make_folder(short)
    assert mine != again and mine.stat().st_mode & 0o777 == 0o700
    machine = mine.name.rpartition("-")[2][:4]
    stale = [short / f"rs-{gone}-{machine}", short / f"rs-{gone}-{machine}1"]
    kept = [mine, again, short / f"rs-{gone}-zzzz", short / f"rs-x-{machine}", short / "other"]
    for folder in (*stale, *kept[2:]):
        folder.mkdir()
    remove_stale(short)
    assert not any(folder.exists() for folder in stale) and all(folder.exists() for folder in kept)


def test_folders_of_other_machines_are_removed_once_they_were_silent_for_a_day(short):
    gone, slow, old = (short / f"rs-1-{machine}" for machine in ("wxyz", "wxya2", "wxyb"))
    for folder, silent in ((gone, SILENT_SECONDS + 60), (slow, SILENT_SECONDS - 3600)):
        (folder / "session").mkdir(parents=True)
        (folder / ALIVE).touch()
        os.utime(folder / ALIVE, times=(time.time() - silent,) * 2)
    old.mkdir()
    remove_stale(short)
    assert not gone.exists() and slow.exists() and old.exists(), "nothing says that a folder without the file is stale"


def test_a_process_shows_that_it_is_alive_until_its_folder_is_removed(short, monkeypatch):
    monkeypatch.setattr(temp_folders, "BEAT_SECONDS", 0.01)
    folder = make_folder(short)
    (thread,) = (each for each in threading.enumerate() if each.name == f"alive {folder}")
    os.utime(folder / ALIVE, times=(0, 0))
    monkeypatch.setattr(temp_folders, "_machine", lambda: "another machine")
    while not (folder / ALIVE).stat().st_mtime:
        time.sleep(0.001)
    remove_stale(short)
    assert folder.exists()
    shutil.rmtree(folder)
    thread.join()


def test_ray_gets_both_folders_and_they_end_with_it(short, monkeypatch):
    import ray

    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(ray, "init", lambda **options: asked.append(options))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setenv("RAY_TMPDIR", str(short))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for spill in (None, short / "large", short / "large" / "new"):
        cluster = Cluster(RayConfig(cpus=1, spill_folder=str(spill) if spill else None), None)
        cluster.start()
        temp, spilled = asked[-1]["_temp_dir"], asked[-1]["object_spilling_directory"]
        assert Path(temp).parent == short and (Path(spilled).parent == spill if spill else spilled is None)
        assert all(Path(folder).is_dir() for folder in (temp, spilled) if folder)
        cluster.stop()
        assert not any(Path(folder).exists() for folder in (temp, spilled) if folder)


def test_a_folder_for_spilled_objects_that_can_not_be_written_is_refused_before_work(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none")):
        config = load_config(NANO, [f"ray.spill_folder={folder}"])
        with pytest.raises(UsageError, match=rf"ray.spill_folder: '{folder}' can't be written \(.+\); name one"):
            require_resources(config, [])
    require_resources(load_config(NANO, [f"ray.spill_folder={tmp_path / 'new'}"]), [])
    assert not (tmp_path / "new").exists() and spill_root(None) is None
    with pytest.raises(ConfigError, match="'scratch' is no absolute path"):
        load_config(NANO, ["ray.spill_folder=scratch"])


@pytest.mark.long
@pytest.mark.ray
def test_objects_are_spilled_to_the_folder(short, monkeypatch):
    """It needs a Ray of its own, whose object store is small and whose folders are asserted.

    In small: test_ray_gets_both_folders_and_they_end_with_it.
    """
    script = """
import sys, time
from pathlib import Path
from raysweep.config.schema import RayConfig
from raysweep.engine.ray.cluster.cluster import Cluster
short = Path(sys.argv[1])
cluster = Cluster(RayConfig(cpus=1, object_store_mib=80, dashboard=False, spill_folder=str(short / "large")), None)
cluster.start()
import numpy, ray
kept = [ray.put(numpy.full(3 * 2**20, number)) for number in range(8)]
assert [int(ray.get(one)[0]) for one in kept] == list(range(8))
spilled = lambda: sum(path.stat().st_size for path in (short / "large").rglob("*") if path.is_file())
end = time.monotonic() + 300
while spilled() <= 80 * 2**20 and time.monotonic() < end:  # Ray spills while others are put
    time.sleep(0.1)
assert spilled() > 80 * 2**20
assert list(short.glob("rs-*/session_*/sockets/raylet*"))
cluster.stop()
assert not list(short.glob("rs-*")) and not list((short / "large").iterdir())
"""
    monkeypatch.setenv("RAY_TMPDIR", str(short))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ended = subprocess.run([sys.executable, "-c", script, str(short)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert temp_folders.VARIABLE not in ended.stderr
