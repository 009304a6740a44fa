"""A sweep that loses a trial, and one that loses its command, end as if nothing had happened."""

from __future__ import annotations

import pytest

from tests.behaviour.chaos.processes import ProcessTree, Seen, Victim
from tests.patience import PATIENCE, eventually
from tests.small_ray import SmallRay, small_ray
from tests.steady import Sweep, held
from tests.storage.stores import content

pytestmark = [pytest.mark.ray, pytest.mark.chaos]


@pytest.fixture(scope="module")
def undisturbed(installed, tmp_path_factory) -> Sweep:
    """The same sweep on the local engine, in peace."""
    sweep = Sweep(tmp_path_factory.mktemp("undisturbed"), installed)
    sweep.write(recovery={"backoff_seconds": 0.2})
    done = sweep.run("--engine", "local")
    assert done.returncode == 0, done.stderr
    return sweep


def killed(sweep: Sweep, victim: Victim, ray: SmallRay | None = None) -> tuple[int, ProcessTree]:
    """Start the sweep, kill such processes once a checkpoint is there; return the command's exit code and processes.

    `ray`: where it runs; None: the command starts one.
    """
    with held(ray.notes if ray else sweep.notes):
        command = sweep.start("run", str(sweep.config), *(["--address", ray.address] if ray else []))
        tree = ProcessTree()
        tree.add_root(command.pid, Victim.DRIVER)
        if ray:
            tree.add_root(ray.process.pid)
        sweep.await_checkpoint(command, look=tree.look)
        tree.look()
        victims = tree.alive(victim)
        assert victims, "the process to kill was not found"
        for seen in victims:
            seen.process.kill()
    command.communicate(timeout=PATIENCE)
    return command.returncode, tree


def processes_of_sweeps(tree: ProcessTree) -> list[Seen]:
    """Return the processes of all kinds beside Ray's own that are alive now."""
    tree.look()
    return [seen for victim in Victim if victim not in (Victim.RAYLET, Victim.GCS) for seen in tree.alive(victim)]


def test_a_killed_trial_resumes_in_another_process(undisturbed, installed, shared_ray, tmp_path):
    sweep = Sweep(tmp_path, installed)
    sweep.config.write_text(undisturbed.config.read_text())
    code, processes = killed(sweep, Victim.TRIAL, shared_ray)
    assert code == 0 and eventually(lambda: not processes_of_sweeps(processes))
    assert "attempt 1 failed: its process died after: training" in sweep.told("base.steady")
    assert sweep.resumed_from()[0] >= 2
    assert content(sweep.store) == content(undisturbed.store)


@pytest.mark.long
def test_a_killed_trial_is_told_as_long_as_no_other_process_can_begin(undisturbed, installed, tmp_path):
    """Ray can start none while its raylet is stopped.

    In small: tests/engine/ray/cluster/test_lives.py, tests/cli/views/test_progress.py.
    """
    sweep = Sweep(tmp_path, installed)
    sweep.config.write_text(undisturbed.config.read_text())
    with small_ray() as ray:
        with held(ray.notes):
            command, tree = sweep.start("run", str(sweep.config), "--address", ray.address), ProcessTree()
            tree.add_root(ray.process.pid)
            sweep.await_checkpoint(command, look=tree.look)
            tree.look()
            (raylet,) = [seen for seen in tree.alive(Victim.RAYLET) if seen.process.children()]
            raylet.process.suspend()
            for seen in tree.alive(Victim.TRIAL):
                seen.process.kill()
            died = "its process died after: training"
            assert eventually(lambda: died in sweep.cells()["base.steady.C1.s7"]["amount"])
            raylet.process.resume()
        _, told = command.communicate(timeout=PATIENCE)
    assert command.returncode == 0, told
    assert f" base.steady.C1.s7: {died}" in told
    assert sweep.resumed_from()[0] >= 2
    assert content(sweep.store) == content(undisturbed.store)


@pytest.mark.long
def test_a_killed_command_is_given_again_on_fewer_cpus_and_resumes(undisturbed, installed, tmp_path):
    """It has a Ray of its own, whose last processes may end after the second command.

    In small: test_a_killed_trial_resumes_in_another_process.
    """
    sweep = Sweep(tmp_path, installed)
    sweep.config.write_text(undisturbed.config.read_text())
    code, processes = killed(sweep, Victim.DRIVER)
    assert code < 0
    done = sweep.run("--set", "ray.cpus=1")
    processes.kill_all()
    assert done.returncode == 0, done.stderr
    assert "started Ray on 1 CPU\n" in done.stderr
    assert sweep.resumed_from()[0] >= 2
    assert content(sweep.store) == content(undisturbed.store)


@pytest.mark.long
def test_a_killed_command_leaves_nothing_running(undisturbed, installed, tmp_path):
    """Ray's agents take a minute to see that their Ray has ended.

    In small: the test above; tests/behaviour/ray/test_recovery.py, `test_with_fail_fast_the_other_cells_are_stopped`.
    """
    sweep = Sweep(tmp_path, installed)
    sweep.config.write_text(undisturbed.config.read_text())
    code, processes = killed(sweep, Victim.DRIVER)
    assert code < 0 and processes.leftovers(PATIENCE) == []
