"""Guards of a run: one process at a time runs a sweep, an interruption marks its tasks, the disk must have space."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep import machine
from raysweep.config.loading import load_config
from raysweep.engine.progress import STOPPED, ProgressFile, read_activities, read_end
from raysweep.errors import RaysweepError, UsageError
from raysweep.planning.planner import build_plan
from raysweep.problems.base import PROBLEMS
from raysweep.programs import Oracle, Sandbox
from raysweep.records import ReferenceRun
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.guards import (
    CHECKPOINT_FACTOR,
    FLOAT32_FACTOR,
    MIN_FREE_BYTES,
    _require_isolation,
    _require_level,
    recorded_end,
    require_oracle,
    require_space,
    sweep_lease,
)
from tests.paths import NANO
from tests.patience import PATIENCE, eventually
from tests.tiny import make_tiny

HOLD = """
import sys, time
from raysweep.sweep.guards import sweep_lease
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder
with sweep_lease(SweepFolder(Store(sys.argv[1]), "x")):
    time.sleep(3600)
"""


@pytest.fixture
def folder(tmp_path) -> SweepFolder:
    store = Store(tmp_path)
    store.require_writable()
    return SweepFolder(store, "x")


@pytest.mark.slow
def test_a_second_run_is_refused_with_the_first_ones_process_and_may_start_once_that_is_killed(folder):
    assert not folder.is_running()
    other = subprocess.Popen([sys.executable, "-c", HOLD, folder.store.root])
    try:
        assert eventually(folder.is_running, PATIENCE)
        said = rf"'x' is being run by process {other.pid} on \S+ since"
        with pytest.raises(UsageError, match=said), sweep_lease(folder):
            pass
    finally:
        other.kill()
        other.wait()
    with sweep_lease(folder):
        assert folder.is_running()
    assert not folder.is_running()


@pytest.mark.parametrize("end", [KeyboardInterrupt(), SystemExit(), RaysweepError("no\nRay")])
def test_how_a_run_ends_is_kept_and_a_running_task_marked_as_stopped_when_it_ends_early(folder, end):
    at, failed = r"at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", isinstance(end, RaysweepError)
    with pytest.raises(type(end)), recorded_end(folder):
        raise end
    assert re.fullmatch(rf"failed to start {at}: Ray" if failed else f"was stopped {at}", read_end(folder.progress))
    progress = ProgressFile(folder.progress, "cell")
    with pytest.raises(type(end)), recorded_end(folder):
        assert re.fullmatch(f"began {at} and was killed, or lost its storage", read_end(folder.progress))
        progress.update("training", 3, 10, force=True)
        raise end
    activity = read_activities(folder.progress)["cell"]
    assert (activity.state, activity.stage, activity.done) == (STOPPED, "training", 3)
    assert re.fullmatch(rf"failed {at}: Ray" if failed else f"was stopped {at}", read_end(folder.progress))


@pytest.fixture
def free(monkeypatch):
    """A function that sets the free space that the disk reports."""

    def set_free(size: int) -> None:
        monkeypatch.setattr("raysweep.sweep.guards.disk", lambda path: machine.Disk("ext4", 2**40, size))

    return set_free


def test_a_nearly_full_disk_is_refused_with_the_numbers(tmp_path, free):
    plan, store = build_plan(load_config(NANO)), Store(tmp_path)
    free(MIN_FREE_BYTES)
    require_space(store, plan.cells, 2)
    free(MIN_FREE_BYTES - 1)
    with pytest.raises(UsageError, match=r"has 31 MiB free, and this sweep needs about 32 MiB; .* another --storage"):
        require_space(store, plan.cells, 2)
    free(0)
    require_space(store, [], 0)  # of a finished sweep


@pytest.mark.parametrize(("keep", "at_a_time", "trainings"), [("all", 3, 2), ("adapters", 2, 2), ("adapters", 1, 0)])
def test_fully_fine_tuned_models_that_are_there_at_a_time_count_with_their_checkpoints(
    tmp_path, free, keep, at_a_time, trainings
):
    folder, store = Path(make_tiny("llama", tmp_path / "tiny").location), Store(tmp_path / "store")
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    sets = [
        f"models=[{{name: m, path: {folder}, recipes: [tiny]}}]",
        "training.sets=[C1, C2, C3]",
        f"keep_models={keep}",
    ]
    cells = build_plan(load_config(NANO, sets)).cells
    needed = MIN_FREE_BYTES + FLOAT32_FACTOR * weights * (at_a_time + trainings * CHECKPOINT_FACTOR)
    free(needed)
    require_space(store, cells, trainings)
    free(needed - 1)
    with pytest.raises(
        UsageError, match="3 fully fine-tuned models and their checkpoints" if keep == "all" else "tuned m"
    ):
        require_space(store, cells, trainings)
    adapters = ["recipes.tiny.trainer=lora", "recipes.tiny.lora={targets: [q_proj]}"]
    require_space(store, build_plan(load_config(NANO, [*sets, *adapters])).cells, trainings)


def test_problems_that_only_their_stored_references_show_to_be_inside_are_refused(tmp_path):
    plan, store = build_plan(load_config(NANO, ["execution.require_oracle=outside"])), Store(tmp_path)
    store.require_writable()
    require_oracle(plan, store)
    task_ids = [problem.task_id for problem in PROBLEMS.create(plan.cells[0].pairs[0].test_set.problem_set).problems()]
    rows = [ReferenceRun(name, "passed", 0.1, 1.0, Oracle.INSIDE) for name in task_ids]
    with store.writing(plan.cells[0].pairs[0].references.node) as draft:
        write_rows(draft.folder / ROWS, ReferenceRun, rows, ["task_id"])
    with pytest.raises(UsageError) as caught:
        require_oracle(plan, store)
    reason = "its reference solution has another outcome with out-of-process tests"
    assert f"the tests of {task_ids[0]} ({reason}), {task_ids[1]} ({reason})," in str(caught.value)
    assert str(caught.value).count(reason) == 5 and f") and {len(task_ids) - 5} more have to run" in str(caught.value)
    require_oracle(build_plan(load_config(NANO)), store)


def test_isolation_that_there_is_is_tried_once_and_one_that_there_is_not_each_time(monkeypatch):
    tried: list[Sandbox] = []
    missing = True

    class Tried(contextlib.ExitStack):
        def __init__(self, slots: int, sandbox: Sandbox) -> None:
            super().__init__()
            tried.append(sandbox)

        def level(self) -> str:
            if missing:
                raise UsageError("this machine can't")
            return "strong"

    monkeypatch.setattr("raysweep.execution.pool.Executor", Tried)
    cells = build_plan(load_config(NANO)).cells
    _require_level.cache_clear()  # of what other tests have tried
    try:
        for _ in range(2):
            with pytest.raises(UsageError, match="this machine can't"):
                _require_isolation(cells)
        missing = False
        for _ in range(2):
            _require_isolation(cells)
    finally:
        _require_level.cache_clear()
    assert len(tried) == 3 and len(set(tried)) == 1
