"""Slots where the kernel, or a container's profile, lacks what newer ones have."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

from tests.patience import PATIENCE

REFUSING = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, int(sys.argv[1])), (0x06, 0, 0, 0x50000 | 1), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
"""
"""Refuses one system call with EPERM, as Docker's profile does with calls that it doesn't know."""
SCRIPT = """
import json
try:
    os.pidfd_open(os.getpid())
    sys.exit("a pidfd was to be had")
except PermissionError:
    pass
from raysweep.execution.pool import Executor
from raysweep.programs import Lane, Level, Limits, Program, Sandbox
texts = ["pass", "assert 0", "while True: pass", "import time; time.sleep(9)", "import os; os._exit(0)"]
texts += [f"x = {n}" for n in range(30)] + ["import os\\nwhile True: os.write(1, b'0' * 9999)"]
for lane in Lane:
    with Executor(2, Sandbox(lane, Level.LIMITS)) as executor:
        executor.level()
        print(json.dumps([verdict.outcome for verdict in executor.run([Program(text) for text in texts], Limits(1))]))
"""


@pytest.mark.slow
def test_programs_are_judged_where_no_pidfd_is_to_be_had():
    if platform.machine() != "x86_64" or not hasattr(os, "pidfd_open"):
        pytest.skip("the filter of this test is written for x86_64")
    command = [sys.executable, "-c", REFUSING + SCRIPT, "434"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert made.returncode == 0, made.stderr
    wanted = ["passed", "failed", "timeout", "timeout", "killed", *["passed"] * 30, "output_limit"]
    assert [json.loads(line) for line in made.stdout.splitlines()] == [wanted, wanted]
