"""Slots where the kernel, or a container's profile, lacks what newer ones have."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from raysweep.execution import slot
from raysweep.execution.pool import Executor
from raysweep.programs import Level, Limits, Outcome, Program, Sandbox, Verdict
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


HOLDING = (
    "from raysweep.execution.isolation import landlock; newest = landlock.abi(); landlock.abi = lambda: min({}, newest)"
)
BODIES = {
    "signals to the first process and its group": """
        import signal
        for number in signal.valid_signals():
            with suppress(PermissionError):
                os.kill(1, number)
        with self.assertRaises(KeyboardInterrupt):
            os.killpg(os.getpgrp(), signal.SIGINT)
        """,
    "keys of the machine": """
        self.assertRaises(OSError, os.listdir, "/etc/ssl/private")
        self.assertTrue(ssl.create_default_context().verify_mode)
        for name in ("keys", "key-users", "cmdline", "kallsyms", "config.gz"):
            with suppress(FileNotFoundError), open(f"/proc/{name}", "rb") as file:
                self.assertEqual(file.read(), b"")
        self.assertEqual(os.listdir("/proc/sys"), [])
        """,
    "watches of folders": """
        libc = ctypes.CDLL(None, use_errno=True)
        for call in (libc.inotify_init, lambda: libc.inotify_init1(0), lambda: libc.fanotify_init(0, 0)):
            self.assertEqual((call(), ctypes.get_errno()), (-1, errno.EPERM))
        """,
    "files for reading alone": """
        for call in (lambda: os.truncate(FILE, 0), lambda: os.open(FILE, os.O_RDONLY | os.O_TRUNC)):
            with self.assertRaises(OSError):
                call()
        """,
}


@contextmanager
def held(abi: int, *without: str) -> Iterator[Executor]:
    """A slot in a kernel whose Landlock is no newer than this."""
    with pytest.MonkeyPatch.context() as patch, Executor(1, Sandbox(require=Level.LIMITS), without) as executor:
        patch.setattr(slot, "_START_CODE", slot._START_CODE.replace("from ", f"{HOLDING.format(abi)}; from ", 1))
        executor.level()
        yield executor


def run(executor: Executor, *bodies: str) -> list[Verdict]:
    head = "import ctypes, errno, os, ssl, unittest\nfrom contextlib import suppress\n"
    methods = (f"    def test_it(self):\n{textwrap.indent(textwrap.dedent(body), ' ' * 8)}" for body in bodies)
    programs = [Program("", f"{head}class T(unittest.TestCase):\n{method}", cases=True) for method in methods]
    return executor.run(programs, Limits(memory_mib=4096))


@pytest.mark.slow
@pytest.mark.apart
@pytest.mark.parametrize("abi", [1, 3, 6])
def test_a_script_reaches_nothing_more_where_landlock_is_old(abi, tmp_path):
    (tmp_path / "site-packages").mkdir()
    file = tmp_path / "site-packages" / "precious.py"
    file.write_text("precious")
    bodies = [body.replace("FILE", repr(str(file))) for body in BODIES.values()]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(file.parent))
        with held(abi) as executor:
            if executor.level() < Level.STRONG:
                pytest.skip("this machine has no namespaces")
            killed, *verdicts = run(executor, "import os\nos.killpg(0, 9)", *bodies, "pass")
        with held(abi, "namespaces") as executor:
            verdicts += run(executor, bodies[-1])
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED] * 6, verdicts
    assert (killed.outcome, killed.detail) == (Outcome.KILLED, "signal Killed")
    assert file.read_text() == "precious"
