"""Two sweeps at once on one store, with one training set in common: each artefact is made once, and all is right."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest

import raysweep
from raysweep.storage.store import Store
from tests.storage.object_store import ACCOUNT, served
from tests.storage.stores import content, made

NANO = Path(__file__).parents[1] / "nano.yaml"
SETS = {"one": "[C1, C2]", "two": "[C2, C3]"}
SHARED_CELL = "llama.tiny.C2.s7"


def start(root: object, name: str, engine: str, **more: str) -> subprocess.Popen[str]:
    sets = {"name": name, "training.sets": SETS[name], "training.source.rows": "160", **more}
    arguments = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    return subprocess.Popen(
        [sys.executable, "-m", "raysweep", "run", str(NANO), "--storage", str(root), "--engine", engine, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"},
    )


class Drafts:
    """Looks all the time which artefacts are being written: each making has a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.found: dict[str, set[str]] = defaultdict(set)
        self._staging = root / "staging"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> dict[str, set[str]]:
        self._thread.start()
        return self.found

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.002):
            for path in self._staging.iterdir() if self._staging.is_dir() else ():
                artefact, _, making = path.name.rpartition("-")
                self.found[artefact].add(making)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, Path]:
    """Each of the two in a store of its own."""
    roots = {name: tmp_path_factory.mktemp(name) for name in SETS}
    for name, root in roots.items():
        running = start(root, name, "local")
        told, _ = running.communicate()
        assert running.returncode == 0, told
    return roots


def together(root: object, engine: str) -> None:
    both = {name: start(root, name, engine) for name in SETS}
    told = {name: running.communicate(timeout=580)[0] for name, running in both.items()}
    assert {name: running.returncode for name, running in both.items()} == {"one": 0, "two": 0}, told


def check(root: object, alone: dict[str, Path]) -> None:
    expected = {**content(alone["one"]), **content(alone["two"])}
    assert content(root) == expected
    for name in SETS:
        ours, theirs = (raysweep.load_results(name, storage=str(at)) for at in (root, alone[name]))
        assert ours.equals(theirs) and set(ours.training_set) == {"base", *re.findall(r"C\d", SETS[name])}
    assert not [name for name in Store(str(root)).files.infos("leases") if name.endswith(".json")]


def check_made_once(root: Path, drafts: dict[str, set[str]]) -> None:
    assert {artefact: makings for artefact, makings in drafts.items() if len(makings) > 1} == {}
    models = [f"model-{artefact.what.key[:16]}" for artefact in made(root).values() if artefact.what.stage == "model"]
    assert len(models) == 3 and set(models) <= drafts.keys()
    tails = [(root / "sweeps" / name / "progress" / f"{SHARED_CELL}.json").read_text() for name in SETS]
    for stage in ("training", "generating", "executing"):
        assert sum(f" {stage}" in tail for tail in tails) == 1, tails


def test_two_sweeps_of_the_local_engine(tmp_path, alone):
    root = tmp_path / "a store [1] ü"
    with Drafts(root) as drafts:
        together(root, "local")
    check(root, alone)
    check_made_once(root, drafts)


def test_a_sweep_goes_on_when_the_other_one_is_killed_while_it_makes_what_both_need(tmp_path, alone):
    root = tmp_path / "store"
    longer = {"training.source.rows": "3200", "checkpoint_every": "10"}
    first = start(root, "one", "local", **longer, **{"training.sets": "[C2]"})
    deadline = time.monotonic() + 240
    while not list((root / "unfinished").glob("model/*/step-*/COMPLETE")):
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    second = start(root, "two", "local", **longer, **{"training.sets": "[C2]"})
    waits = root / "sweeps" / "two" / "progress" / f"{SHARED_CELL}.json"
    while not (waits.is_file() and f"process {first.pid} on" in waits.read_text()):
        assert first.poll() is None and second.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    first.kill()
    killed = time.monotonic()
    first.communicate()
    while not re.search(r" training \d", waits.read_text()):
        assert time.monotonic() - killed < 15, "a dead process of this machine delays nobody"
        time.sleep(0.05)
    told, _ = second.communicate(timeout=300)
    assert second.returncode == 0, told
    (model,) = [artefact.what for artefact in made(root).values() if artefact.what.stage == "model"]
    assert Store(root).manifest(model)["counts"]["resumed_from"] >= 10


def test_two_sweeps_in_an_object_store(tmp_path, alone, monkeypatch):
    with served() as server:
        for name, value in {**ACCOUNT, "RAYSWEEP_CACHE": str(tmp_path / "cache")}.items():
            monkeypatch.setenv(name, value)
        together(server.uri("store"), "local")
        check(server.uri("store"), alone)


@pytest.mark.ray
def test_two_sweeps_of_the_ray_engine(tmp_path, alone):
    with Drafts(tmp_path / "store") as drafts:
        together(tmp_path / "store", "ray")
    check(tmp_path / "store", alone)
    check_made_once(tmp_path / "store", drafts)
