"""A sweep that loses a trial, and one that loses its command, end as if nothing had happened."""

from __future__ import annotations

import time

import pytest

from tests.behaviour.chaos.processes import ProcessTree, Victim
from tests.patience import PATIENCE
from tests.steady import Sweep
from tests.storage.stores import content

pytestmark = [pytest.mark.ray, pytest.mark.chaos]

SLOW = {"trainer": "steady", "objective": "paced", "objective_args": {"seconds": 0.5}, "steps": 12, "batch_size": 16}


@pytest.fixture(scope="module")
def undisturbed(installed, tmp_path_factory) -> Sweep:
    """The same sweep on the local engine, in peace."""
    sweep = Sweep(tmp_path_factory.mktemp("undisturbed"), installed)
    sweep.write(recipes={"steady": SLOW}, recovery={"backoff_seconds": 0.2})
    done = sweep.run("--engine", "local")
    assert done.returncode == 0, done.stderr
    return sweep


def killed(sweep: Sweep, victim: Victim) -> int:
    """Start the sweep, kill such processes as soon as a checkpoint is there, and return the command's exit code."""
    command = sweep.start("run", str(sweep.config))
    tree = ProcessTree()
    tree.add_root(command.pid, Victim.DRIVER)
    until = time.monotonic() + PATIENCE
    while not list((sweep.store / "unfinished").glob("model/*/step-*/COMPLETE")):
        assert command.poll() is None and time.monotonic() < until
        tree.look()
        time.sleep(0.05)
    tree.look()
    victims = tree.alive(victim)
    assert victims, "the process to kill was not found"
    for seen in victims:
        seen.process.kill()
    command.communicate(timeout=PATIENCE)
    assert tree.leftovers(PATIENCE) == []
    return command.returncode


def test_a_killed_trial_resumes_in_another_process(undisturbed, installed, tmp_path):
    sweep = Sweep(tmp_path, installed)
    sweep.config.write_text(undisturbed.config.read_text())
    assert killed(sweep, Victim.TRIAL) == 0
    assert "attempt 1 failed: its process died after: training" in sweep.told("base.steady")
    assert sweep.resumed_from()[0] >= 2
    assert content(sweep.store) == content(undisturbed.store)


@pytest.mark.long
def test_a_killed_command_is_given_again_and_resumes(undisturbed, installed, tmp_path):
    """In small: the test above on a training, and tests/sweep/test_quality.py on a sweep that was killed."""
    sweep = Sweep(tmp_path, installed)
    sweep.config.write_text(undisturbed.config.read_text())
    assert killed(sweep, Victim.DRIVER) < 0
    done = sweep.run()
    assert done.returncode == 0, done.stderr
    assert sweep.resumed_from()[0] >= 2
    assert content(sweep.store) == content(undisturbed.store)
