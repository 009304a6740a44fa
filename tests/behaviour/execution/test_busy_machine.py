"""Verdicts on programs with several threads or processes, on a machine that has many others to run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from raysweep.execution.pool import Executor
from raysweep.programs import CPP, JAVA, Level, Limits, Oracle, Outcome, Program, Sandbox
from tests.execution.compiled.processes import needs

pytestmark = [pytest.mark.slow, pytest.mark.long]

TEXTS = yaml.safe_load(Path(__file__).with_name("waiting.yaml").read_text())
BUSY, SLOTS = 32, 10
LIMITS = Limits(timeout=1.5, memory_mib=4096, wall_factor=200)
"""The limit of wall time is far away: what the machine has to do beside these may slow them down even more."""
JVM_LIMITS = replace(LIMITS, timeout=4.0, memory_mib=2048)
PYTHON = """
import sys, time
child = "import time\\nwhile time.process_time() < 0.4: pass"

def work(*number):
    end = time.thread_time() + 0.1
    while time.thread_time() < end:
        pass

@@"""
CASES = "import unittest\nclass TestCases(unittest.TestCase):\n    def test_f(self): self.assertEqual(f(), 1)\n"
FRAMES = {
    CPP: """
#include <future>
#include <thread>
#include <vector>
#include <ctime>
#include <unistd.h>
void work() {
    for (timespec used = {}; used.tv_nsec < 100000000;) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
}
int f(int a) {
@@}
""",
    JAVA: """
class Solution {
    static void work() {
        var times = java.lang.management.ManagementFactory.getThreadMXBean();
        while (times.getCurrentThreadCpuTime() < 100000000L) { }
    }
    public int f(int a) throws InterruptedException {
@@    }
}
""",
}
TESTS = {
    CPP: "#undef NDEBUG\n#include <assert.h>\nint main() { assert(f(1) == 1); }\n",
    JAVA: "public class Main { public static void main(String[] args) throws Exception {"
    " if (new Solution().f(1) != 1) throw new AssertionError(); } }\n",
}
DECLARATIONS = {
    CPP: "int f(int a) {\n",
    JAVA: "class Solution {\n    public int f(int a) throws InterruptedException {\n",
}


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Run endless loops, each in a session of its own, to which Linux gives as much of a core as to a slot.

    They end with this process, also where it is killed.
    """
    loop = [sys.executable, "-c", "import os\nowner = os.getppid()\nwhile os.getppid() == owner: pass"]
    loops = [subprocess.Popen(loop, start_new_session=True) for _ in range(processes)]
    try:
        yield
    finally:
        for process in loops:
            process.kill()
            process.wait()


def programs() -> Iterator[tuple[tuple[str, Outcome], Program, Limits]]:
    for ending, outcome in (("", Outcome.PASSED), (" that sleep", Outcome.TIMEOUT)):
        for name, text in TEXTS[f"python{ending}"].items():
            for oracle in Oracle:
                program = Program(PYTHON.replace("@@", text), "assert f() == 1", oracle=oracle)
                yield (f"{name}, {oracle}", outcome), program, LIMITS
        for name, text in (TEXTS[f"python{ending}"] | TEXTS[f"scripts{ending}"]).items():
            yield (f"{name}, cases", outcome), Program(PYTHON.replace("@@", text), CASES, cases=True), LIMITS
        for language in (CPP, JAVA):
            for name, text in TEXTS[f"{language}{ending}"].items():
                text = FRAMES[language].replace("@@", text)
                for oracle in Oracle:
                    program = Program(text, TESTS[language], language, oracle, DECLARATIONS[language])
                    yield (
                        (f"{name}, {language}, {oracle}", outcome),
                        program,
                        JVM_LIMITS if language == JAVA else LIMITS,
                    )


def test_programs_with_threads_and_processes_keep_their_verdicts_beside_many_busy_processes():
    """Every one of some 200 programs, and sleepers end at their limit of effective time."""
    needs(CPP)
    needs(JAVA)
    work = [
        (key, replace(program, text=f"{program.text}{'//' if program.declaration else '#'} {copy}\n"), limits)
        for key, program, limits in programs()
        for copy in range(2 if program.declaration else 6)
    ]
    with Executor(SLOTS, Sandbox(require=Level.STRONG)) as executor, busy(BUSY):
        verdicts = list(executor.stream(work))
    assert len(verdicts) >= 200
    assert [(name, verdict) for (name, outcome), verdict in verdicts if verdict.outcome is not outcome] == []
