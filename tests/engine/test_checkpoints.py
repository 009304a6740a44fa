"""The report and checkpoint shim of training."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.engine.checkpoints import COMPLETE, TrainingServices
from raysweep.records import Limits, Outcome, Program, TrainingStep


def services(work: Path, **more: int) -> tuple[TrainingServices, list[tuple[int, int, str]]]:
    told: list[tuple[int, int, str]] = []
    return TrainingServices(work, lambda *what: told.append(what), **more), told


def test_the_newest_complete_checkpoint_is_kept_and_found(tmp_path):
    shim, _ = services(tmp_path)
    assert shim.latest_checkpoint() is None
    for step in (10, 20):
        shim.save_checkpoint(step, lambda folder, step=step: (folder / "state").write_text(str(step)))
    latest = shim.latest_checkpoint()
    assert latest is not None and (latest / "state").read_text() == "20"
    assert len(list(tmp_path.glob("step-*"))) == 1


def test_a_checkpoint_that_was_not_finished_does_not_count(tmp_path):
    shim, _ = services(tmp_path)
    shim.save_checkpoint(10, lambda folder: (folder / "state").write_text("10"))

    def fail(folder: Path) -> None:
        (folder / "state").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        shim.save_checkpoint(20, fail)
    latest = shim.latest_checkpoint()
    assert latest is not None and (latest / "state").read_text() == "10"
    assert (latest / COMPLETE).is_file()


def test_only_rank_zero_writes_and_tells(tmp_path):
    shim, told = services(tmp_path, rank=1, world_size=2)
    shim.save_checkpoint(10, lambda folder: pytest.fail("rank 1 wrote"))
    shim.report(TrainingStep(1, 4, 0.5, 1e-3, 100))
    first, heard = services(tmp_path)
    first.report(TrainingStep(1, 4, 0.5, 1e-3, 100))
    assert told == [] and heard == [(1, 4, "loss 0.500")]


def test_a_trainer_can_run_programs(tmp_path):
    shim, _ = services(tmp_path)
    verdicts = shim.execute([Program("assert 1 == 1"), Program("assert 1 == 2")], Limits(cpu_seconds=5))
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED, Outcome.FAILED]
