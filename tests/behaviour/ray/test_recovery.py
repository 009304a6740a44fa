"""What fails is tried again, and what hangs is ended; a cell that gives up is told, and the others go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import raysweep
from tests.patience import stall_seconds
from tests.steady import Sweep

pytestmark = pytest.mark.slow


@pytest.fixture
def sweep(installed, tmp_path) -> Sweep:
    return Sweep(tmp_path, installed)


def unsteady(trouble: str, times: int, **more: Any) -> dict[str, Any]:
    return {"name": "unsteady", "trouble": trouble, "times": times, **more}


def test_each_cell_has_its_attempts_and_the_next_run_makes_only_what_failed(sweep):
    sweep.write_fakes(
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
    printed = [sweep.command("status", "steady"), sweep.command("report", "steady", "--format", "md")]
    told = done.stdout + "".join(one.stdout for one in printed)
    for name, error in errors.items():
        assert told.count(f"failed: {name}: {error}") == 2
        assert error in (sweep.store / "sweeps" / "steady" / "report.html").read_text()
    assert set(raysweep.load_results("steady", storage=str(sweep.store)).model) == {"fine", "shaky"}

    before = sweep.commits()
    again = sweep.run("--engine", "local", "--json")
    assert again.returncode == 0, again.stderr
    after = sweep.commits()
    assert len(after) == len(before) + 4 and {path: after[path] for path in before} == before
    assert {cell["state"] for cell in sweep.cells().values()} == {"done"}


def test_with_fail_fast_nothing_is_begun_after_a_failure(sweep):
    sweep.write_fakes({"hopeless": unsteady("hopeless", 1), "fine": unsteady("none", 0)})
    done = sweep.run("--engine", "local", "--fail-fast")
    assert done.returncode == 1
    assert "failed: hopeless.base: no such luck" in done.stdout
    assert "failed: fine.base: " in done.stdout
    assert not (sweep.notes / "generator-none-0").exists()


def write_with_training(sweep: Sweep, generators: Mapping[str, Mapping[str, Any]], **config: Any) -> None:
    """Write a config with fake generators and a model whose training makes trouble."""
    fakes = [{"name": name, "generator": dict(spec)} for name, spec in generators.items()]
    own = {"name": "base", "path": str(sweep.base()), "generator": {"name": "steady"}, "template": "raw"}
    steady = {"trainer": "steady", "steps": 4, "batch_size": 16, **config.pop("troubled")}
    sweep.write_fakes(
        {},
        models=[*fakes, {**own, "recipes": ["troubled"]}],
        recipes={"troubled": steady},
        training={"source": {"name": "minicode", "part": "finetuning", "rows": 64}, "sets": ["FatalShout"]},
        **config,
    )


@pytest.mark.ray
@pytest.mark.long
def test_processes_that_die_are_replaced_and_training_resumes(sweep):
    """With a Ray of its own, which must end with the command although processes died.

    In small: tests/behaviour/chaos/test_one_kill.py kills a trial, tests/engine/test_attempts.py counts attempts.
    tests/engine/ray/test_stages.py kills a generator and a task that perturbs.
    """
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
    assert "failed: its process died after: training" in sweep.told("base.troubled")
    assert len(sweep.calls("perturbation")) > 1, "Ray Data runs a task again whose process died"
    assert sweep.resumed_from() == [2]
    assert sweep.nothing_is_left_running()


@pytest.mark.ray
@pytest.mark.long
def test_processes_that_hang_are_ended_and_training_resumes(sweep):
    """With a Ray of its own, which must end with the command although processes hung.

    In small, without Ray: tests/engine/test_attempts.py, on what makes no progress.
    """
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
    assert f"{stalled}training" in sweep.told("base.troubled")  # the step is not always told: they are quick
    assert sweep.resumed_from() == [2]
    assert sweep.nothing_is_left_running()


@pytest.mark.long
@pytest.mark.ray
def test_with_fail_fast_the_other_cells_are_stopped(sweep):
    """With a Ray of its own, which must end with the command, too.

    In small: test_with_fail_fast_nothing_is_begun_after_a_failure.
    """
    slow = unsteady("none", 0, pause=900)
    sweep.write_fakes({"hopeless": unsteady("hopeless", 1), "slow": slow, "slower": slow})
    done = sweep.run("--fail-fast")
    assert done.returncode == 1, done.stderr
    assert "failed: hopeless.base: no such luck" in done.stdout
    assert "failed: slow.base: " in done.stdout and "failed: slower.base: " in done.stdout
    assert sweep.nothing_is_left_running()
