"""Work without Ray: batches overlap, an error or the caller's end stops those that wait, and cells wait for cells."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from raysweep.config.resources import ResourcesConfig
from raysweep.config.schema import RayConfig
from raysweep.engine.base import EngineSettings, GenerateJob, Stages, Task
from raysweep.engine.jobs import Generated
from raysweep.engine.local import LocalEngine, LocalStages
from raysweep.engine.progress import ProgressFile, read_activities
from raysweep.errors import RaysweepError
from raysweep.records import Decoding, GenerationRequest, ModelRef, Recovery, Spec
from raysweep.storage.files import Files
from tests.patience import PATIENCE

BATCHES = [[GenerationRequest(f"{n}", f"t{n}", "def f():", 0)] for n in range(6)]
JOB = GenerateJob("", ModelRef("base"), Spec("transformers"), Decoding(), BATCHES)


class Kept:
    """Stands for the process's generator: each batch goes on until the one after it is at work, or until it is told.

    Then the batch `broken` fails, and others take some more time.
    """

    def __init__(self, broken: int = -1) -> None:
        self.broken, self.begun, self.most, self.now, self.stopped = broken, [], 0, 0, 0
        self.lock = threading.Lock()

    def generate(self, job: GenerateJob, batch: Any, alive: Callable[[], None], tell: Any) -> Generated:
        number = int(batch[0].request_id)
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.begun.append(number)
        is_last, until = number + 1 == len(BATCHES), time.monotonic() + PATIENCE
        try:
            while not is_last and number + 1 not in self.begun and time.monotonic() < until:
                time.sleep(0.005)
                alive()
            if number == self.broken:
                raise ValueError("broken")
            for _ in range(10):
                time.sleep(0.005)
                alive()
        except CancelledError:
            self.stopped += 1
            raise
        finally:
            with self.lock:
                self.now -= 1
        return Generated([], 0, {}, 0.0)


def stages(kept: Kept) -> LocalStages:
    made = LocalStages()
    made._generator = kept  # type: ignore[assignment]
    return made


def progress(folder: Path) -> ProgressFile:
    return ProgressFile(Files(str(folder)), "cell")


def test_two_batches_are_at_work_and_all_come_in_order(tmp_path):
    kept = Kept()
    assert [output.index for output in stages(kept).generate(JOB, progress(tmp_path))] == list(range(6))
    assert kept.most == 2 and sorted(kept.begun) == list(range(6))


def test_an_error_stops_the_batch_beside_it_and_begins_no_other(tmp_path):
    kept = Kept(broken=0)
    with pytest.raises(ValueError, match="broken"):
        list(stages(kept).generate(JOB, progress(tmp_path)))
    assert sorted(kept.begun) == [0, 1] and kept.stopped == 1


def test_a_caller_that_ends_early_waits_for_no_batch(tmp_path):
    kept = Kept()
    outputs = stages(kept).generate(JOB, progress(tmp_path))
    next(outputs)
    outputs.close()
    assert sorted(kept.begun) == [0, 1] and kept.stopped == 1 and kept.now == 0


def test_a_cell_whose_base_failed_is_not_run_and_says_why(tmp_path):
    ran: list[str] = []

    def run(name: str, stages: Stages) -> dict[str, float]:
        ran.append(name)
        if name == "base":
            raise RaysweepError("no memory")
        return {}

    tasks = [
        Task(name, functools.partial(run, name), after=after)
        for name, after in {"base": (), "edit": ("base",), "second": ("edit",), "other": ()}.items()
    ]
    settings = EngineSettings(ResourcesConfig(), RayConfig(), Recovery(), Files(str(tmp_path)), ())
    errors = LocalEngine(settings).run_cells(tasks)
    assert ran == ["base", "other"] and set(errors) == {"base", "edit", "second"}
    shown = read_activities(Files(str(tmp_path)).below("progress"))
    assert shown["edit"].error == errors["edit"] == "not started: base failed: no memory"
