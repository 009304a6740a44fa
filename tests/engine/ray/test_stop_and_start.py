"""A sweep that was stopped goes on with another number of CPUs, to the same results."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.paths import NANO
from tests.patience import PATIENCE
from tests.storage.stores import content

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("own_ray")]

LONGER = [
    "models.0.pretrain.source.rows=1600",  # so that it can be stopped while it trains
    "models.0.recipes=[]",
]


def started(storage: Path, cpus: int, engine: str = "ray") -> subprocess.Popen[str]:
    sets = [part for item in (*LONGER, f"ray.cpus={cpus}") for part in ("--set", item)]
    return subprocess.Popen(
        [sys.executable, "-m", "raysweep", "run", str(NANO), "--storage", str(storage), "--engine", engine, *sets],
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_sweep_stopped_on_two_cpus_ends_on_one_as_an_undisturbed_one(tmp_path):
    undisturbed = started(tmp_path / "undisturbed", 1, "local")  # beside the others
    storage = tmp_path / "store"
    first = started(storage, 2)
    deadline = time.monotonic() + PATIENCE
    while not any(storage.glob("unfinished/base_model/*/step-*/COMPLETE")):
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    _, err = first.communicate(timeout=PATIENCE)
    assert first.returncode == 143 and "this command resumes" in err
    second = started(storage, 1)
    _, err = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, err
    _, undisturbed_err = undisturbed.communicate(timeout=PATIENCE)
    assert undisturbed.returncode == 0, undisturbed_err
    assert "started Ray on 1 CPU\n" in err and "training resumes from step" in err
    assert content(storage) == content(tmp_path / "undisturbed")
