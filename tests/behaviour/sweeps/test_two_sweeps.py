"""Two sweeps run at once on one store with a training set in common: each artefact is made once, results are right."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import struct
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

import raysweep
from raysweep.storage.store import Store
from tests.patience import PATIENCE, eventually
from tests.steady import Sweep, held
from tests.storage.object_store import ACCOUNT, served
from tests.storage.stores import committed, content

pytestmark = [pytest.mark.slow]

SETS = {"one": "[C2]", "two": "[C2, C3]"}
SHARED_CELL = "base.steady.C2.s7"
LOCAL = ("--engine", "local")

# From <sys/inotify.h>:
IN_CREATE = 0x100
IN_Q_OVERFLOW = 0x4000
EVENT = struct.Struct("iIII")
"""Watch, mask, cookie, and the length of the name that follows, filled up with zero bytes."""


@pytest.fixture(scope="module")
def sweep(installed, tmp_path_factory) -> Sweep:
    """The config that all sweeps here have in common, and their base model."""
    own = Sweep(tmp_path_factory.mktemp("sweep"), installed)
    own.write()
    return own


def start(sweep: Sweep, root: object, name: str, where: Sequence[str] = LOCAL, **more: str) -> subprocess.Popen[str]:
    sets = {"name": name, "training.sets": SETS[name], "evaluation.perturbations": "[clean]", **more}
    arguments = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    return sweep.start("run", str(sweep.config), *where, *arguments, storage=root)


class Drafts:
    """Lists which artefacts are written in a block: each attempt has a folder of its own.

    Linux keeps an event for each folder that is made, however briefly it exists and however busy the machine is.
    """

    def __init__(self, root: Path) -> None:
        self.seen: dict[str, set[str]] = defaultdict(set)
        self._staging = root / "staging"
        self._events = -1

    def __enter__(self) -> dict[str, set[str]]:
        self._staging.mkdir(parents=True)
        libc = ctypes.CDLL(None, use_errno=True)
        self._events = libc.inotify_init1(os.O_NONBLOCK)
        watch = libc.inotify_add_watch(self._events, os.fsencode(self._staging), IN_CREATE)
        assert self._events >= 0 and watch >= 0, os.strerror(ctypes.get_errno())
        return self.seen

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(BlockingIOError):  # it is raised once all events are read
            while data := os.read(self._events, 64 * 1024):
                self._note(data)
        os.close(self._events)

    def _note(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            _, mask, _, length = EVENT.unpack_from(data, at)
            assert not mask & IN_Q_OVERFLOW
            name = os.fsdecode(data[at + EVENT.size : at + EVENT.size + length].rstrip(b"\0"))
            artefact, _, attempt = name.rpartition("-")
            self.seen[artefact].add(attempt)
            at += EVENT.size + length


@pytest.fixture(scope="module")
def alone(sweep, tmp_path_factory) -> dict[str, Path]:
    """Each of the two sweeps in its own store."""
    roots = {name: tmp_path_factory.mktemp(name) for name in SETS}
    for running in [start(sweep, root, name) for name, root in roots.items()]:
        _, told = running.communicate()
        assert running.returncode == 0, told
    return roots


def together(sweep: Sweep, root: object, where: Sequence[str] = LOCAL) -> None:
    both = {name: start(sweep, root, name, where) for name in SETS}
    output = {name: "".join(running.communicate(timeout=PATIENCE)) for name, running in both.items()}
    assert {name: running.returncode for name, running in both.items()} == {"one": 0, "two": 0}, output


def check(root: object, alone: dict[str, Path]) -> None:
    expected = {**content(alone["one"]), **content(alone["two"])}
    assert content(root) == expected
    for name in SETS:
        ours, theirs = (raysweep.load_results(name, storage=str(store)) for store in (root, alone[name]))
        assert ours.equals(theirs) and set(ours.training_set) == {"base", *re.findall(r"C\d", SETS[name])}
    leases = Store(str(root)).files.infos("leases")
    assert not [name for name, info in leases.items() if name.endswith(".json") and info.size], "some are held"


def check_made_once(root: Path, drafts: dict[str, set[str]]) -> None:
    assert {artefact: attempts for artefact, attempts in drafts.items() if len(attempts) > 1} == {}
    models = [
        f"model-{artefact.unit.key[:16]}" for artefact in committed(root).values() if artefact.unit.stage == "model"
    ]
    assert len(models) == 2 and set(models) <= drafts.keys()
    tails = [(root / "sweeps" / name / "progress" / f"{SHARED_CELL}.json").read_text() for name in SETS]
    for stage in ("training", "generating", "executing"):
        assert sum(f" {stage}" in tail for tail in tails) == 1, tails


def test_two_sweeps_of_the_local_engine(tmp_path, sweep, alone):
    root = tmp_path / "a store [1] ü"
    with Drafts(root) as drafts:
        together(sweep, root)
    check(root, alone)
    check_made_once(root, drafts)


def test_neither_of_two_sweeps_drops_a_model_that_the_other_needs(tmp_path, sweep, alone):
    root = tmp_path / "store"
    with held(sweep.notes):  # otherwise one could be done, and drop its models, before the other has begun
        both = {name: start(sweep, root, name, keep_models="adapters") for name in SETS}
        assert eventually(lambda: all((root / "sweeps" / name / "uses.parquet").is_file() for name in SETS))
    output = {name: "".join(running.communicate(timeout=PATIENCE)) for name, running in both.items()}
    assert {name: running.returncode for name, running in both.items()} == {"one": 0, "two": 0}, output
    lines = [line for text in output.values() for line in text.splitlines()]
    assert not [line for line in lines if "was dropped" in line or "damaged" in line]
    made = {**content(alone["one"]), **content(alone["two"])}
    assert content(root) == {name: one for name, one in made.items() if not name.startswith("model/")}


def test_a_sweep_resumes_the_shared_work_of_one_that_is_killed(tmp_path, sweep, alone):
    """That a dead process on this machine is not waited for is shown by tests/storage/test_leases.py."""
    root = tmp_path / "store"
    told = root / "sweeps" / "two" / "progress" / f"{SHARED_CELL}.json"
    with held(sweep.notes):
        first = start(sweep, root, "one")
        sweep.await_checkpoint(first, root)
        second = start(sweep, root, "two", **{"training.sets": "[C2]"})
        waiting = f"process {first.pid} on"
        assert eventually(lambda: second.poll() is not None or (told.is_file() and waiting in told.read_text()))
        first.kill()
        first.communicate()
    output = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, output
    assert waiting in told.read_text() and "training resumes from step" in told.read_text()
    assert content(root) == content(alone["one"])


@pytest.mark.long
def test_two_sweeps_in_an_object_store(tmp_path, sweep, alone, monkeypatch):
    """In small: `test_two_sweeps_of_the_local_engine`, and the leases of tests/storage/test_leases.py."""
    with served() as server:
        for name, value in {**ACCOUNT, "RAYSWEEP_CACHE": str(tmp_path / "cache")}.items():
            monkeypatch.setenv(name, value)
        together(sweep, server.uri("store"))
        check(server.uri("store"), alone)


@pytest.mark.long
@pytest.mark.ray
def test_two_sweeps_on_one_ray(tmp_path, sweep, alone, shared_ray):
    """In small: `test_two_sweeps_of_the_local_engine`, whose processes share the same leases."""
    with Drafts(tmp_path / "store") as drafts:
        together(sweep, tmp_path / "store", ["--address", shared_ray.address])
    check(tmp_path / "store", alone)
    check_made_once(tmp_path / "store", drafts)
