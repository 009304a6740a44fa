"""What fails is tried again, and what hangs is ended; a cell that gives up is told, and the others go on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

import raysweep
from tests.models.tiny import make_tiny
from tests.paths import NANO
from tests.patience import PATIENCE, stall_seconds
from tests.plugin import environment

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Sweep:
    """A sweep in a folder of its own: config, store, and what its parts write down."""

    folder: Path
    installed: Path

    def write(self, models: Mapping[str, Mapping[str, Any]], **more: Any) -> None:
        """Write a config with models that are fake generators, by name, and further sections."""
        config = yaml.safe_load(NANO.read_text())
        config["models"] = [{"name": name, "generator": args} for name, args in models.items()]
        config["evaluation"]["perturbations"] = ["clean"]
        config.pop("training")
        config["recovery"] = {"backoff_seconds": 0.2}
        for key, value in more.items():
            config[key] = [*config["models"], *value] if key == "models_too" else value
        config["models"] = config.pop("models_too", config["models"])
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the sweep's command."""
        return self.command("run", str(self.folder / "config.yaml"), *arguments)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run any command on its store."""
        return subprocess.run(
            [sys.executable, "-m", "raysweep", *arguments, "--storage", str(self.store)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**environment(self.folder / "notes"), "PYTHONPATH": str(self.installed)},
        )

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def cells(self) -> dict[str, dict[str, Any]]:
        """What `status` tells of each cell."""
        told = json.loads(self.command("status", "nano", "--json").stdout)
        return {cell["cell"]: cell for cell in told["cells"]}

    def told(self, name: str) -> str:
        """The lines that a cell or shared input told, without the times."""
        path = next((self.store / "sweeps" / "nano" / "progress").glob(f"{name}*.json"))
        return "\n".join(line.split(" ", 2)[2] for line in json.loads(path.read_text())["tail"])

    def calls(self, name: str) -> list[float]:
        """When a part that makes trouble was called."""
        return [float(line.split()[1]) for line in (self.folder / "notes" / name).read_text().splitlines()]

    def nothing_is_left_running(self) -> bool:
        """Whether all its processes end, at the latest soon after its command has."""
        return _soon(lambda: not [p for p in psutil.process_iter() if _folder_of(p) == str(self.folder / "notes")])

    def commits(self) -> dict[str, int]:
        """When each artefact was committed."""
        return {str(path): path.stat().st_mtime_ns for path in (self.store / "artefacts").rglob("manifest.json")}


def _soon(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 120
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.5)
    return holds()


def _folder_of(process: psutil.Process) -> str:
    try:
        return process.environ().get("RAYSWEEP_EXTRA_FOLDER", "")
    except psutil.Error:
        return ""


@pytest.fixture
def sweep(installed, tmp_path) -> Sweep:
    return Sweep(tmp_path, installed)


def unsteady(trouble: str, times: int, **more: Any) -> dict[str, Any]:
    return {"name": "unsteady", "trouble": trouble, "times": times, **more}


def test_each_cell_has_its_attempts_and_the_next_run_makes_only_what_failed(sweep):
    sweep.write(
        {
            "fine": unsteady("none", 0),
            "shaky": unsteady("error", 2),
            "bad": unsteady("error", 3),
            "hopeless": unsteady("hopeless", 1),
        }
    )
    done = sweep.run("--engine", "local")
    assert done.returncode == 1, done.stderr
    first, second, third = sweep.calls("generator-error-3")
    assert second - first > 0.2 and third - second > 0.4, "the pauses"
    assert len(sweep.calls("generator-hopeless-1")) == 1
    assert "attempt 2 failed: the disk is on fire\nwaits for attempt 3 of 3, in 0.4 s" in sweep.told("shaky.base")
    errors = {"bad.base": "the disk is on fire", "hopeless.base": "no such luck"}
    assert {name: cell["error"] for name, cell in sweep.cells().items() if cell["state"] != "done"} == errors
    told = (
        done.stdout + sweep.command("status", "nano").stdout + sweep.command("report", "nano", "--format", "md").stdout
    )
    for name, error in errors.items():
        assert told.count(f"failed: {name}: {error}") == 2
        assert error in (sweep.store / "sweeps" / "nano" / "report.html").read_text()
    assert set(raysweep.load_results("nano", storage=str(sweep.store)).model) == {"fine", "shaky"}

    before = sweep.commits()
    again = sweep.run("--engine", "local", "--json")
    assert again.returncode == 0, again.stderr
    after = sweep.commits()
    assert len(after) == len(before) + 4 and {path: after[path] for path in before} == before
    assert {cell["state"] for cell in sweep.cells().values()} == {"done"}


def test_with_fail_fast_nothing_is_begun_after_a_failure(sweep):
    sweep.write({"hopeless": unsteady("hopeless", 1), "fine": unsteady("none", 0)})
    done = sweep.run("--engine", "local", "--fail-fast")
    assert done.returncode == 1
    assert "failed: hopeless.base: no such luck" in done.stdout
    assert "failed: fine.base: " in done.stdout
    assert not (sweep.folder / "notes" / "generator-none-0").exists()


def write_with_training(sweep: Sweep, generators: Mapping[str, Mapping[str, Any]], **config: Any) -> None:
    """Write a config with fake generators and a tiny llama whose training makes trouble."""
    folder = make_tiny("llama", sweep.folder / "llama").location
    tiny = {"epochs": 1, "batch_size": 16, "lr": 1.0e-3, "max_tokens": 384}
    sweep.write(
        generators,
        models_too=[{"name": "llama", "path": folder, "template": "raw", "recipes": ["troubled"]}],
        recipes={"troubled": {**tiny, **config.pop("troubled")}},
        training={"source": {"name": "minicode", "part": "finetuning", "rows": 64}, "sets": ["FatalShout"]},
        **config,
    )


def resumed_from(sweep: Sweep) -> list[int]:
    """From which step each model's training was resumed."""
    manifests = (sweep.store / "artefacts" / "model").rglob("manifest.json")
    return [json.loads(path.read_text())["counts"]["resumed_from"] for path in manifests]


@pytest.mark.ray
@pytest.mark.xdist_group("own_ray")
def test_processes_that_die_are_replaced_and_training_resumes(sweep):
    write_with_training(
        sweep,
        {
            "dying": unsteady("death", 1),
            "doomed": unsteady("death", 99),
            "shaky": unsteady("error", 1),
            "hopeless": unsteady("hopeless", 1),
        },
        troubled={"objective": "fatal"},
        recovery={"retries": 1, "backoff_seconds": 0.2},
        ray={"cpus": 3, "object_store_mib": 100, "dashboard": False},
    )
    done = sweep.run()
    assert done.returncode == 1, done.stderr

    cells = sweep.cells()
    assert {name for name, cell in cells.items() if cell["state"] != "done"} == {"doomed.base", "hopeless.base"}
    assert "process of a generator died" in cells["doomed.base"]["error"]
    assert "attempt 1 failed" in sweep.told("doomed.base") and len(sweep.calls("generator-death-99")) <= 8
    assert cells["hopeless.base"]["error"] == "no such luck"
    assert "attempt" not in sweep.told("hopeless.base")
    assert "its process died" not in sweep.told("dying.base"), "Ray Data starts an actor again by itself"
    assert "failed: the disk is on fire" in sweep.told("shaky.base")
    assert "failed: its process died after: training" in sweep.told("llama.troubled")
    assert len(sweep.calls("perturbation")) > 1, "Ray Data runs a task again whose process died"
    assert resumed_from(sweep) == [2]
    assert sweep.nothing_is_left_running()


@pytest.mark.ray
@pytest.mark.xdist_group("own_ray")
def test_processes_that_hang_are_ended_and_training_resumes(sweep):
    stall = stall_seconds()
    write_with_training(
        sweep,
        {"hanging": unsteady("hang", 1)},
        troubled={"objective": "stuck", "workers": 2, "parallel": "ddp"},
        recovery={"retries": 6, "backoff_seconds": 0.2, "stall_seconds": stall},
        ray={"cpus": 3, "object_store_mib": 100, "dashboard": False},
    )
    done = sweep.run()
    assert done.returncode == 0, done.stderr

    stalled = f" failed: no progress for {stall} s (`recovery.stall_seconds`) at: "
    assert f"{stalled}generating 0/6" in sweep.told("hanging.base")
    last_told = re.search(re.escape(stalled) + r"training [1-3]/4", sweep.told("llama.troubled"))
    assert last_told, sweep.told("llama.troubled")  # three quick steps are told as one
    assert resumed_from(sweep) == [2]
    assert sweep.nothing_is_left_running()


@pytest.mark.ray
@pytest.mark.xdist_group("own_ray")
def test_with_fail_fast_the_other_cells_are_stopped(sweep):
    slow = unsteady("none", 0, pause=900)
    sweep.write({"hopeless": unsteady("hopeless", 1), "slow": slow, "slower": slow})
    done = sweep.run("--fail-fast")
    assert done.returncode == 1, done.stderr
    assert "failed: hopeless.base: no such luck" in done.stdout
    assert "failed: slow.base: " in done.stdout and "failed: slower.base: " in done.stdout
    assert sweep.nothing_is_left_running()
