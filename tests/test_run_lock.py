"""One run of a sweep at a time."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from raysweep.errors import UsageError
from raysweep.run_lock import held, is_held

HOLD = """
import sys, time, pathlib
from raysweep.run_lock import held
with held(pathlib.Path(sys.argv[1]), "x"):
    time.sleep(60)
"""


def test_a_second_run_is_refused_with_the_first_ones_process_and_may_start_once_that_is_killed(tmp_path):
    assert not is_held(tmp_path)
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)])
    try:
        deadline = time.time() + 20
        while not is_held(tmp_path) and time.time() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)
        with pytest.raises(UsageError, match=rf"'x' is being run by process {other.pid} since"), held(tmp_path, "x"):
            pass
    finally:
        other.kill()
        other.wait()
    with held(tmp_path, "x"):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)
