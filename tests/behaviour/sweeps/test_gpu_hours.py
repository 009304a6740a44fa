"""GPU-hours are counted over all runs of a sweep, shown under one name, and capped by --max-gpu-hours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import raysweep
from raysweep.config.loading import load_config
from raysweep.engine.ledger import GPU_HOURS
from raysweep.errors import UsageError
from raysweep.planning.planner import build_plan
from raysweep.sweep.folder import open_folder
from raysweep.sweep.run import _tell_unlimited
from raysweep.sweep.tasks import RunOptions
from tests.paths import NANO
from tests.patience import PATIENCE

BASE, TUNED = "llama.base", "llama.tiny.C1.s7"


def run(store: Path, address: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the sweep; each worker and host holds a part of the pretended GPU."""
    sets = ["--set", "resources.gpus=0.25", "--set", "recovery.retries=0"]
    command = [sys.executable, "-m", "raysweep", "run", str(NANO), "--storage", str(store), "--address", address, *sets]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"},
        timeout=PATIENCE,
    )


def used(store: Path) -> float:
    return open_folder("nano", str(store)).ledger().total


def tune_hours(store: Path, cell: str) -> float:
    """What Tune's results of the latest run say of a cell."""
    file = max((store / "sweeps/nano/tune").rglob(f"{cell}/result.json"))
    return float(json.loads(file.read_text().splitlines()[-1])[GPU_HOURS])


@pytest.mark.ray
@pytest.mark.long
def test_a_capped_sweep_stops_between_stages_and_goes_on_when_it_may(shared_ray, tmp_path):
    """In small: tests/engine/ray/test_caps.py on what doesn't begin, tests/engine/test_ledger.py on what is counted."""
    little = run(tmp_path, shared_ray.address, "--max-gpu-hours", "1e-9")
    assert little.returncode == 1, little.stderr
    reason = r"since the sweep has used \S+ GPU-hours \(--max-gpu-hours 1e-09\); run it again with more"
    assert f"failed: {BASE}, {TUNED}: not started, " in little.stdout
    assert re.search(reason, little.stdout), little.stdout
    first = used(tmp_path)
    assert first > 0 and list((tmp_path / "artefacts" / "base_model").rglob("manifest.json")), "its base was trained"

    spent = run(tmp_path, shared_ray.address, "--max-gpu-hours", "1e-9")
    assert spent.returncode == 2 and "ledger/gpu_seconds.json says; give more" in spent.stderr
    assert used(tmp_path) == first

    between = run(tmp_path, shared_ray.address, "--max-gpu-hours", f"{first + 1e-9:.12f}")
    assert between.returncode == 1, between.stderr
    assert f"{TUNED}: stopped, since the sweep has used" in between.stdout
    stopped = open_folder("nano", str(tmp_path)).activities()[TUNED]
    assert stopped.state == "stopped" and not stopped.error, "it trained, or waited for its place, when others used it"

    rest = run(tmp_path, shared_ray.address, "--max-gpu-hours", "1000")
    assert rest.returncode == 0, rest.stderr
    frame = raysweep.load_results("nano", storage=str(tmp_path)).query("metric == @GPU_HOURS")
    hours = dict(zip(frame.training_set, frame.value, strict=True))
    assert hours == {"base": tune_hours(tmp_path, BASE), "C1": tune_hours(tmp_path, TUNED)}
    assert sum(hours.values()) < used(tmp_path), "the base's training, and hosts between two batches, are of no cell"


@pytest.mark.parametrize("hours", [0, -1, float("nan")])
def test_a_cap_that_allows_nothing_is_refused(hours):
    with pytest.raises(UsageError, match=r"--max-gpu-hours .*: give a number above 0"):
        RunOptions(max_gpu_hours=hours)


@pytest.mark.parametrize(("gpus", "hours", "told"), [(0, 1.0, True), (1, 1.0, False), (0, None, False)])
def test_a_cap_that_limits_nothing_is_told(gpus, hours, told, caplog):
    config = load_config(NANO, [f"resources.gpus={gpus}"])
    with caplog.at_level("WARNING", logger="raysweep"):
        _tell_unlimited(config, build_plan(config).cells, RunOptions(max_gpu_hours=hours))
    assert ("--max-gpu-hours limits nothing: no cell asks for GPUs" in caplog.text) is told


def test_the_local_engine_has_no_ledger():
    with pytest.raises(UsageError, match="the local engine counts no GPU-hours; use --engine ray"):
        RunOptions(engine="local", max_gpu_hours=1)
