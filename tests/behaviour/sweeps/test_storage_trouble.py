"""Storage that fills up, vanishes or is too new during a sweep: a clear error or a wait, and no damage."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raysweep.storage.files import MARKER
from tests.patience import PATIENCE, eventually
from tests.steady import Sweep, held
from tests.storage.object_store import ACCOUNT, served
from tests.storage.stores import content, written

pytestmark = pytest.mark.slow

LOCAL = ("--engine", "local")


@pytest.fixture(scope="module")
def sweep(installed, tmp_path_factory) -> Sweep:
    """The sweep of all tests here, each of which has a store of its own."""
    own = Sweep(tmp_path_factory.mktemp("sweep"), installed)
    own.write(recovery={"backoff_seconds": 1})
    return own


def waits_for_storage(running: subprocess.Popen[str], errors: Path) -> bool:
    """Return True once the sweep says that it waits for its storage."""
    assert running.poll() is None, errors.read_text()
    return "waiting up to" in errors.read_text()


def start(sweep: Sweep, root: object, errors: Path | None = None) -> subprocess.Popen[str]:
    """Start the sweep; its stderr goes to the file `errors`, else to a pipe."""
    with contextlib.nullcontext(subprocess.PIPE) if errors is None else errors.open("w") as stderr:
        return sweep.start("run", str(sweep.config), *LOCAL, storage=root, stderr=stderr)


@pytest.fixture(scope="module")
def undisturbed(sweep, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed")
    running = start(sweep, root)
    output = running.communicate()
    assert running.returncode == 0, output
    return root


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 64 MiB in memory."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root may mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"can't mount here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path) -> None:
    with (disk / "something else").open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_a_full_disk_is_one_clear_error_and_the_same_command_resumes(sweep, small_disk, undisturbed):
    root = small_disk / "store"
    with held(sweep.notes):
        running = start(sweep, root)
        sweep.await_checkpoint(running, root)
        fill(small_disk)
    out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1, (out, err)
    assert "Traceback" not in err and "Logging error" not in err
    assert re.search(f"waits for a full disk, (0|< 1) MiB free in {root}: ", err.replace("\n", " "))
    last = err.splitlines()[-1]
    assert last == f"error: storage {root}: no space is left on the disk; free some, or give another one with --storage"
    before = written(root)
    assert content(root).items() <= content(undisturbed).items() and len(before) >= 4
    on_full = start(sweep, root)
    _, err = on_full.communicate(timeout=PATIENCE)
    assert on_full.returncode == 2 and err.count("\n") == 1
    assert "no space is left on the disk" in err or "free" in err
    subprocess.run(["mount", "-o", "remount,size=512m", small_disk], check=True)
    again = start(sweep, root)
    output = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, output
    assert content(root) == content(undisturbed)
    assert {name: written(root)[name] for name in before} == before


def test_a_finished_sweep_is_run_again_on_a_nearly_full_disk(sweep, small_disk, undisturbed):
    root = Path(shutil.copytree(undisturbed, small_disk / "store"))
    fill(small_disk)
    os.truncate(small_disk / "something else", (small_disk / "something else").stat().st_size - 2**18)
    again = start(sweep, root)
    output = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, output
    assert content(root) == content(undisturbed)


def await_write(running: subprocess.Popen[str], is_begun: Callable[[], object]) -> None:
    """Wait until a running sweep has begun to write something, which it may have written a millisecond later."""
    while running.poll() is None:
        with contextlib.suppress(RuntimeError):  # the server of a test adds an object meanwhile
            if is_begun():
                return
        time.sleep(0.0005)
    raise AssertionError("the write was never seen")


@pytest.mark.long
@pytest.mark.parametrize(
    "begun",
    [
        "staging/training_set-*",
        "staging/model-*",
        "unfinished/model/*/step-*",
        "staging/completions-*",
        "verdicts/*",
        "staging/results-*",
        "sweeps/steady/.problems.parquet.*",
    ],
)
def test_a_disk_that_vanishes_in_the_middle_of_a_write_is_waited_for(sweep, tmp_path, undisturbed, begun):
    """In small: tests/storage/test_files.py, and `test_what_is_written_while_the_root_is_away...` of test_store.py."""
    root, away, errors = tmp_path / "store", tmp_path / "away", tmp_path / "errors"
    running = start(sweep, root, errors)
    await_write(running, lambda: any(root.glob(begun)))
    root.rename(away)
    root.mkdir()  # like the empty folder of an unmounted disk
    assert eventually(lambda: waits_for_storage(running, errors))
    assert not list(root.iterdir()), "nothing is written where the disk should be"
    root.rmdir()
    away.rename(root)
    running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, errors.read_text()
    assert "attempt 1 failed" not in errors.read_text()
    assert content(root) == content(undisturbed)


@pytest.mark.long
@pytest.mark.parametrize(
    "begun",
    ["artefacts/training_set", "artefacts/model", "/step-", "artefacts/completions", "verdicts/", "scores.parquet"],
)
def test_an_object_store_that_does_not_answer_for_some_seconds_is_waited_for(
    sweep, tmp_path, undisturbed, monkeypatch, begun
):
    """In small: `test_a_server_that_is_away_is_waited_for` of tests/storage/test_files.py."""
    for name, value in {**ACCOUNT, "RAYSWEEP_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    with served() as server:
        root, errors = server.uri("store"), tmp_path / "errors"
        running = start(sweep, root, errors)
        await_write(running, lambda: begun in " ".join(server.keys()))
        server.stop()
        assert eventually(lambda: waits_for_storage(running, errors))
        server.start()
        running.communicate(timeout=PATIENCE)
        assert running.returncode == 0, errors.read_text()
        assert "attempt 1 failed" not in errors.read_text()
        assert content(root) == content(undisturbed)


@pytest.fixture
def finished(undisturbed, tmp_path) -> Path:
    return Path(shutil.copytree(undisturbed, tmp_path / "copy"))


def test_a_store_with_another_schema_is_left_alone(sweep, finished):
    (finished / MARKER).write_text(json.dumps({"schema_version": 2}))
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    config = str(sweep.config)
    for arguments in (("run", config, *LOCAL), ("status", "steady")):
        done = sweep.command(*arguments, storage=finished)
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert "was written by an older raysweep (schema 2, " in done.stderr and "give a new folder" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_an_artefact_of_a_newer_version_is_left_alone(sweep, finished):
    path = next((finished / "artefacts" / "model").rglob("manifest.json"))
    newer = json.dumps({**json.loads(path.read_text()), "schema_version": 99, "files": {}})
    path.write_text(newer)
    for arguments in (("run", str(sweep.config), *LOCAL), ("status", "steady")):
        done = sweep.command(*arguments, storage=finished)
        assert done.returncode == 1 and "was written by a newer raysweep (schema 99" in done.stderr
    assert path.read_text() == newer


def test_leases_and_progress_of_a_newer_version_do_no_harm(sweep, finished):
    (finished / "leases" / "model-x.json").write_text('{"schema_version": 99, "who": ["someone"]}')
    (finished / "sweeps" / "steady" / "progress" / "base.base.json").write_text('{"id": "x", "mood": "good"}')
    done = sweep.command("status", "steady", storage=finished)
    assert done.returncode == 0 and "2 of 2" in done.stdout
