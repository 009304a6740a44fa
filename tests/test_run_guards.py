"""One run of a sweep at a time, and what is said of its parts when it ends early."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from raysweep.errors import RaysweepError, UsageError
from raysweep.progress import STOPPED, ProgressFile, read_activities
from raysweep.run_guards import only_run, stopped_when_interrupted
from raysweep.storage.store import Store
from raysweep.sweep_folder import SweepFolder

HOLD = """
import sys, time
from raysweep.run_guards import only_run
from raysweep.storage.store import Store
from raysweep.sweep_folder import SweepFolder
with only_run(SweepFolder(Store(sys.argv[1]), "x")):
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path) -> SweepFolder:
    store = Store(tmp_path)
    store.require_writable()
    return SweepFolder(store, "x")


def test_a_second_run_is_refused_with_the_first_ones_process_and_may_start_once_that_is_killed(folder):
    assert not folder.is_running()
    other = subprocess.Popen([sys.executable, "-c", HOLD, folder.store.root])
    try:
        deadline = time.time() + 30
        while not folder.is_running() and time.time() < deadline:
            time.sleep(0.05)
        with (
            pytest.raises(UsageError, match=rf"'x' is being run by process {other.pid} on \S+ since"),
            only_run(folder),
        ):
            pass
    finally:
        other.kill()
        other.wait()
    with only_run(folder):
        assert folder.is_running()
    assert not folder.is_running()


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, RaysweepError])
def test_what_runs_when_a_run_ends_early_is_said_to_be_stopped(folder, end):
    progress = ProgressFile(folder.progress, "cell")
    with pytest.raises(end), stopped_when_interrupted(folder):
        progress.update("training", 3, 10, force=True)
        raise end
    found = read_activities(folder.progress)["cell"]
    assert (found.state, found.stage, found.done) == (STOPPED, "training", 3)
