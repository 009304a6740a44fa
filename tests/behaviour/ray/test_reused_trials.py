"""Cells follow one another in one process, to the same bytes, unless it has grown, failed or died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from raysweep.config.resources import ResourcesConfig
from raysweep.config.schema import RayConfig
from raysweep.engine.base import EngineSettings, Stages, Task
from raysweep.engine.ray.engine import RayEngine
from raysweep.engine.ray.hosts.reuse import MOST_GROWTH
from raysweep.planning.predictions.needs import CellNeeds, Needs
from raysweep.records import Recovery
from raysweep.storage.files import Files
from tests.paths import NANO
from tests.small_ray import CPUS
from tests.storage.stores import content

pytestmark = pytest.mark.ray


def sweep(storage: Path, sets: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "raysweep", "run", str(NANO), "--storage", str(storage), *arguments]
    done = subprocess.run(
        [*command, "--set", f"training.sets={sets}"],
        capture_output=True,
        text=True,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_two_trainings_in_one_process_give_the_bytes_of_two_processes(shared_ray, tmp_path):
    """In small: the test below, and tests/trainers/test_full.py, where a process trains the same model twice."""
    sweep(tmp_path / "C1", "[C1]", "--engine", "local")
    sweep(tmp_path / "clean", "[clean]", "--engine", "local")
    one_at_a_time = "--set", f"resources.cpus={CPUS}"
    sweep(tmp_path / "both", "[C1, clean]", "--address", shared_ray.address, *one_at_a_time)
    results = {
        path.parent.name: json.loads(path.read_text().splitlines()[-1])["pid"]
        for path in (tmp_path / "both" / "sweeps" / "nano" / "tune").rglob("result.json")
    }
    assert len(results) == 3 and results["llama.tiny.C1.s7"] == results["llama.tiny.clean.s7"]
    assert content(tmp_path / "both") == {**content(tmp_path / "C1"), **content(tmp_path / "clean")}


@pytest.mark.long
def test_a_process_that_has_grown_failed_or_died_or_is_not_ready_gets_no_further_cell(
    shared_ray, tmp_path, monkeypatch
):
    """In small: tests/engine/ray/hosts/test_reuse.py."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")

    def nothing() -> None:
        pass

    def when_the_next_cell_comes(do: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            from ray.tune.trainable.function_trainable import FunctionTrainable

            FunctionTrainable.reset_config = lambda self, config: do()

        return run

    def fail() -> None:
        raise ValueError("as it should")

    def grow() -> None:
        sys.kept = b"1" * (MOST_GROWTH + 2**26)  # type: ignore[attr-defined]

    does = {
        "first": nothing,
        "dies": when_the_next_cell_comes(lambda: os._exit(1)),
        "after it died": nothing,
        "fails": fail,
        "after it failed": nothing,
        "grows": grow,
        "after it grew": nothing,
        "breaks": when_the_next_cell_comes(lambda: 1 / 0),
        "after it broke": nothing,
        "is not ready": when_the_next_cell_comes(lambda: False),
        "after it was not ready": nothing,
    }
    tasks = [task(tmp_path, name, do, len(does) - number) for number, (name, do) in enumerate(does.items())]
    settings = EngineSettings(
        ResourcesConfig(), RayConfig(), Recovery(0, 0, 0, True), Files(str(tmp_path / "sweep")), (), shared_ray.address
    )
    with RayEngine(settings) as engine:
        engine.check(tasks)
        errors = engine.run_cells(tasks)
    assert errors == {"fails": "ValueError: as it should"}
    cells = processes(tmp_path)
    assert sorted(name for names in cells for name in names) == sorted(does)
    assert len(cells) == 6 and cells[0] == ["first", "dies"]
    assert {"dies", "fails", "grows", "breaks", "is not ready"} <= {names[-1] for names in cells}


def task(folder: Path, name: str, do: Callable[[], None], hours: float) -> Task:
    """Return a cell that notes its process and then does something; cells with more hours come first."""

    def run(stages: Stages) -> Mapping[str, float]:
        import psutil

        with (folder / "ran").open("a") as file:
            file.write(f"{os.getpid()} {psutil.Process().create_time()}\t{name}\n")
        do()
        return {"done": 1}

    needs = Needs(CPUS)
    return Task(name, run, CellNeeds(needs, Needs(), Needs(), in_trial=True), hours={"cpu": hours})


def processes(folder: Path) -> list[list[str]]:
    """Return the cells of each process in order."""
    found: dict[str, list[str]] = {}
    for line in (folder / "ran").read_text().splitlines():
        process, name = line.split("\t")
        found.setdefault(process, []).append(name)
    return list(found.values())
