"""A fork in which no program can run says why, and what it says is no program's."""

from __future__ import annotations

import pytest

from raysweep.execution import slot
from raysweep.execution.pool import Executor
from raysweep.programs import Level, Limits, Oracle, Outcome, Program, Sandbox

pytestmark = pytest.mark.slow

REFUSED = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from raysweep.execution.python import forks; "
    "forks.lower_limit = lambda *limit: open('/no/such/limit'); from {} import main; main()"
)
CASES = "import unittest\nclass TestCases(unittest.TestCase):\n    def test_f(self): f()"


@pytest.mark.parametrize(
    "program",
    [
        Program("def f(): pass", "f()", oracle=Oracle.OUTSIDE),
        Program("def f(): pass", "f()", oracle=Oracle.INSIDE),
        Program("def f(): pass", CASES, cases=True),
    ],
    ids=["outside", "inside", "cases"],
)
def test_a_fork_that_cannot_be_started_is_an_error_of_ours(program, monkeypatch):
    monkeypatch.setattr(slot, "_START_CODE", REFUSED)
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor:
        (verdict,) = executor.run([program], Limits(timeout=5))
    assert verdict.outcome is Outcome.HARNESS_ERROR
    assert verdict.detail.startswith("it could not be started: [Errno 2] No such file or directory: '/no/such/limit'")
