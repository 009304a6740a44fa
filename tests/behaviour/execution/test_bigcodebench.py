"""Twenty tasks of BigCodeBench's shape: right outcomes for all programs, in any order and at four times the load.

A test for every day, which runs no such corpus, is tests/execution/python/in_process/test_child.py.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from raysweep.execution.pool import Executor
from raysweep.execution.runtimes import identities
from raysweep.problems.bigcodebench import BigCodeBench
from raysweep.programs import Level, Limits, Outcome, Program, Sandbox, Verdict
from tests.problems import bigcodebench_tasks

pytestmark = [pytest.mark.slow, pytest.mark.long]

LIMITS = Limits(timeout=10, memory_mib=4096)  # a third of the set's time
SLOTS = 2


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Program, bigcodebench_tasks.Program]]:
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor:
        if executor.level() < Level.STRONG:
            pytest.skip("hostile programs run at the level strong only, which this machine lacks")
    file = bigcodebench_tasks.write_rows(tmp_path_factory.mktemp("tasks") / "tasks.jsonl")
    problems = {problem.task_id: problem for problem in BigCodeBench(file).problems()}
    written = list(bigcodebench_tasks.programs())
    return [(problems[one.task_id].assemble(one.text), one) for one in written]


def verdicts(programs: Sequence[Program], slots: int = SLOTS) -> list[Verdict]:
    with Executor(slots, Sandbox(require=Level.STRONG)) as executor:
        return executor.run(programs, LIMITS)


@contextmanager
def busy(processes: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@pytest.mark.apart  # others' slots have folders in /tmp, too
def test_each_program_has_the_right_outcome_and_leaves_nothing(corpus):
    before = set(Path("/tmp").iterdir()) | set(Path("/dev/shm").iterdir())
    found = verdicts([program for program, _ in corpus])
    wrong = {
        f"{one.task_id}, {one.name}": (verdict.outcome, verdict.detail)
        for (_, one), verdict in zip(corpus, found, strict=True)
        if verdict.outcome not in one.outcomes
    }
    assert not wrong
    named = {verdict.detail.partition(";")[0] for verdict in found if "the network" in verdict.detail}
    assert named == {"it asked for the network (example.com)"}
    left = (set(Path("/tmp").iterdir()) | set(Path("/dev/shm").iterdir())) - before
    assert not [path for path in left if path.name.startswith("raysweep_")]
    assert ["sleep", "1000"] not in [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]


def test_two_environments_with_other_numpys_have_keys_and_verdicts_of_their_own(tmp_path):
    pythons = {}
    for name, version in (("one", "1.26.4"), ("two", "2.2.6")):
        venv.create(tmp_path / name, symlinks=True, with_pip=True)
        pythons[name] = str(tmp_path / name / "bin" / "python")
        install = [pythons[name], "-I", "-m", "pip", "install", "-q", f"numpy=={version}"]
        if subprocess.run(install, capture_output=True).returncode:
            pytest.skip(f"numpy {version} can't be installed, as without a network")
    sandbox = Sandbox(require=Level.LIMITS, environments=tuple(pythons.items()))
    keys = dict(identities(pythons, sandbox))
    assert keys["one"] != keys["two"]
    text = "import numpy as np\ndef task_func(): return repr(np.float64(1.5)), hasattr(np, 'in1d')"
    tests = (
        "import unittest\nimport numpy as np\nclass TestCases(unittest.TestCase):\n    def test_f(self):\n"
        "        old = np.__version__ < '2'\n"
        "        self.assertEqual(task_func()[0], '1.5' if old else 'np.float64(1.5)')\n"
        "        self.assertTrue(old)\n"
    )
    programs = [
        Program(f"{text}  # {at}", tests, environment=name, cases=True, imports=("numpy",))
        for name in pythons
        for at in range(5)
    ]
    with Executor(1, sandbox) as executor:
        outcomes = [verdict.outcome for verdict in executor.run(programs, LIMITS)]
    assert outcomes == [Outcome.PASSED] * 5 + [Outcome.FAILED] * 5


@pytest.mark.parametrize("load", [1, 4])
def test_outcomes_depend_neither_on_order_nor_on_load(corpus, load):
    mixed = random.Random(load).sample(corpus, len(corpus))
    cores = len(os.sched_getaffinity(0))
    with busy((load - 1) * cores):
        found = verdicts([program for program, _ in mixed], SLOTS if load == 1 else 1)
    wrong = {
        f"{one.task_id}, {one.name}": (verdict.outcome, verdict.detail)
        for (_, one), verdict in zip(mixed, found, strict=True)
        if verdict.outcome not in one.outcomes
    }
    assert not wrong
