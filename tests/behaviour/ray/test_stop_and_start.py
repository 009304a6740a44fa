"""A sweep that was stopped goes on with another number of CPUs, to the same results.

In small: tests/behaviour/chaos/test_one_kill.py, where a command that was killed is given again on one CPU, and
tests/cli/test_app.py on what a stopped command says.
"""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.patience import PATIENCE
from tests.steady import Sweep, held
from tests.storage.stores import content

pytestmark = [pytest.mark.ray, pytest.mark.long]


def started(sweep: Sweep, cpus: int) -> subprocess.Popen[str]:
    sweep.write(ray={"cpus": cpus, "object_store_mib": 100, "dashboard": False})
    return sweep.start("run", str(sweep.config))


def test_a_sweep_stopped_on_two_cpus_ends_on_one_as_an_undisturbed_one(installed, tmp_path):
    sweep = Sweep(tmp_path, installed)
    with held(sweep.notes):
        first = started(sweep, 2)
        sweep.await_checkpoint(first)
        first.send_signal(signal.SIGTERM)
    _, err = first.communicate(timeout=PATIENCE)
    assert first.returncode == 143 and "this command resumes" in err
    second = started(sweep, 1)
    _, err = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, err
    assert "started Ray on 1 CPU\n" in err and "training resumes from step" in err
    undisturbed = sweep.start("run", str(sweep.config), "--engine", "local", storage=tmp_path / "undisturbed")
    _, undisturbed_err = undisturbed.communicate(timeout=PATIENCE)
    assert undisturbed.returncode == 0, undisturbed_err
    assert content(sweep.store) == content(tmp_path / "undisturbed")
