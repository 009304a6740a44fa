"""Programs with unittest cases, run for real: each test method's outcome, and what scripts may do and leave."""

from __future__ import annotations

import socket
import textwrap
from collections.abc import Iterator

import pytest

from raysweep.execution.pool import Executor
from raysweep.execution.slot import SHARING
from raysweep.programs import Level, Limits, Oracle, Outcome, Program, Sandbox, Verdict

pytestmark = pytest.mark.slow

LIMITS = Limits(timeout=10, memory_mib=4096)


@pytest.fixture(scope="module")
def slot() -> Iterator[Executor]:
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor:
        yield executor


@pytest.fixture
def strong(slot: Executor) -> Executor:
    if slot.level() < Level.STRONG:
        pytest.skip("this machine has no namespaces, in which a script has /tmp and shared memory of its own")
    return slot


def cases(*bodies: str) -> str:
    methods = "".join(
        f"    def test_{at}(self):\n{textwrap.indent(body, ' ' * 8)}\n" for at, body in enumerate(bodies, 1)
    )
    return f"import unittest\nfrom unittest.mock import patch\nclass TestCases(unittest.TestCase):\n{methods}"


def run(slot: Executor, text: str, *bodies: str, limits: Limits = LIMITS) -> Verdict:
    (verdict,) = slot.run([Program(text, cases(*bodies), cases=True)], limits)
    assert verdict.oracle == Oracle.INSIDE
    return verdict


def test_every_method_is_told_and_the_others_run_on(slot):
    bodies = ("self.assertEqual(f(2), 2)", "self.assertEqual(f(2), 3)", "f.x", "self.assertEqual(f(1), 1)")
    verdict = run(slot, "def f(x): return x", *bodies)
    assert verdict.outcome is Outcome.EXCEPTION and verdict.parts == "test_1,test_4"
    assert verdict.detail == (
        "failed: test_2; error: test_3; passed: test_1, test_4; test_2: AssertionError: 2 != 3; "
        "test_3: AttributeError: 'function' object has no attribute 'x'"
    )
    passed = run(slot, "def f(x): return x", bodies[0], bodies[3])
    assert passed.outcome is Outcome.PASSED and passed.detail == "passed: test_1, test_2"
    assert run(slot, "def f(x): return x", bodies[1]).outcome is Outcome.FAILED
    killed = run(slot, "import time\ndef f(x): time.sleep(99)", "pass", "f(1)", "pass", limits=Limits(timeout=1))
    assert (killed.outcome, killed.parts) == (Outcome.TIMEOUT, "test_1")
    assert killed.detail == "more than 1 s of effective time; passed: test_1"
    many = run(slot, "def f(x): return x", *([bodies[0]] * 60), bodies[1])
    assert many.detail == "1 failed; 60 passed; test_61: AssertionError: 2 != 3"


@pytest.mark.parametrize(
    ("text", "body", "outcome", "detail"),
    [
        ("def f(: pass", "f()", Outcome.SYNTAX_ERROR, "SyntaxError"),
        ("import no_such", "f()", Outcome.EXCEPTION, "ModuleNotFoundError: No module named 'no_such'"),
        ("import unittest\ndef f(): raise unittest.SkipTest", "f()", Outcome.EXCEPTION, "the program skipped"),
        ("import sys\ndef f(): sys.exit(0)", "f()", Outcome.EXCEPTION, "SystemExit: 0"),
        ("def f(): os._exit(0)", "f()", Outcome.KILLED, "exit code 0 before its tests did"),
        ("def f(): return 1", "self.skipTest('not here')", Outcome.PASSED, ""),
        ("def f(): return os.getcwd()", "self.assertTrue(f())", Outcome.PASSED, ""),
        ("N = 1\ndef f(): return N", "with patch('__test__.N', 5): self.assertEqual(f(), 5)", Outcome.PASSED, ""),
        ("if __name__ == '__main__': f()\ndef f(): return 1", "self.assertEqual(f(), 1)", Outcome.PASSED, ""),
        ("import builtins\ndef f(): builtins.len = builtins.open = None", "f()", Outcome.PASSED, ""),
        ("def f(): return bytearray(9 * 10**9)", "f()", Outcome.MEMORY, "MemoryError"),
        ("def f():\n    while True: print('x' * 999)", "f()", Outcome.OUTPUT_LIMIT, ""),
        ("import time\ndef f(): time.sleep(99)", "f()", Outcome.TIMEOUT, "1 s of effective time"),
    ],
)
def test_how_a_program_ends(slot, text, body, outcome, detail):
    verdict = run(slot, text, body, limits=Limits(timeout=1, memory_mib=4096))
    assert verdict.outcome is outcome and detail in verdict.detail


def test_what_asks_for_the_network_is_named(slot):
    verdict = run(slot, "import urllib.request\ndef f(): urllib.request.urlopen('http://raysweep.invalid')", "f()")
    assert verdict.outcome is Outcome.EXCEPTION
    assert verdict.detail.startswith("it asked for the network (raysweep.invalid); error: test_1; test_1: URLE")
    patched = "with patch('urllib.request.urlopen', return_value=1): self.assertIsNone(f())"
    verdict = run(slot, "import urllib.request\ndef f(): urllib.request.urlopen('http://raysweep.invalid')", patched)
    assert verdict.outcome is Outcome.PASSED
    for call in ("gethostbyaddr('192.0.2.1')", "getnameinfo(('192.0.2.1', 80), 8)"):
        assert (
            "it asked for the network (192.0.2.1)" in run(slot, f"import socket\ndef f(): socket.{call}", "f()").detail
        )


SCRIPTS = {
    "a command": "import subprocess\ndef f(): return subprocess.check_output(['echo', '1'])",
    "a signal": "import subprocess\np = subprocess.Popen(['sleep', '9'])\ndef f(): return p.kill() or p.wait()",
    "processes": "from multiprocessing import Pool\ndef f():\n    with Pool(2) as p: return p.map(abs, [-1, 2])",
    "copies": "import shutil\ndef f():\n    open('a', 'w').write('b')\n    return open(shutil.copy2('a', 'c')).read()",
    "/tmp": "def f():\n    open('/tmp/a', 'w').write('b')\n    return open('/tmp/a').read()",
    "a Python": "import subprocess\ndef f(): return not subprocess.call([sys.executable, '-c', 'import numpy'])",
    "a server": "import socket\ndef f():\n    s = socket.create_server(('127.0.0.1', 0))\n"
    "    return socket.create_connection(s.getsockname())",
    "a large file": "def f(): return open('a', 'wb').write(bytes(50 * 2**20))",
    "a program of its own": "import subprocess\ndef f():\n    open('a', 'w').write('#!/bin/sh\\necho 1')\n"
    "    os.chmod('a', 0o700)\n    return subprocess.check_output(['./a']) and subprocess.call('./a', shell=True) == 0",
    "localhost": "import socket\ndef f():\n    s = socket.create_server(('localhost', 0))\n"
    "    socket.create_connection(('localhost', s.getsockname()[1]))\n"
    "    return socket.gethostbyaddr('127.0.0.1')[0] == socket.gethostname() == 'localhost'",
    "certificates": "import ssl\ndef f(): return ssl.create_default_context().verify_mode",
    "what the machine does": "def f(): return 'cpu' in open('/proc/stat').read() and os.listdir('/proc/self/fd')",
}


def test_a_wait_that_is_interrupted_goes_on(strong):
    text = (
        "import subprocess, threading\ndef f():\n"
        "    stop = f'kill -STOP {os.getpid()}; sleep .1; kill -CONT {os.getpid()}'\n"
        "    stopping, lock = subprocess.Popen(['sh', '-c', stop]), threading.Lock()\n"
        "    lock.acquire()\n    return lock.acquire(timeout=.5), stopping.wait()"
    )
    verdict = run(strong, text, "self.assertEqual(f(), (False, 0))")
    assert verdict.outcome is Outcome.PASSED, verdict


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_uses_the_machine(strong, script):
    assert run(strong, SCRIPTS[script], "self.assertTrue(f())").outcome is Outcome.PASSED


def test_each_of_many_programs_has_what_the_first_one_has(strong):
    text = (
        "import socket, numpy\ndef f():\n    open('/tmp/a', 'x').close()\n    open('/dev/shm/a', 'x').close()\n"
        "    server = socket.create_server(('127.0.0.1', 12345), reuse_port=False)\n"
        "    socket.create_connection(('127.0.0.1', 12345)).close()\n    server.close()\n    return numpy.random.rand()"
    )
    programs = [
        Program(f"{text}  # {at}", cases("print(f()); self.assertEqual(f.__name__, 'f')"), cases=True)
        for at in range(140)
    ]
    assert {verdict.outcome for verdict in strong.run(programs, LIMITS)} == {Outcome.PASSED}


def test_random_numbers_are_the_same_whatever_is_imported_before(slot):
    text, tests = "import numpy\ndef f(): return numpy.random.rand()", cases("raise ValueError(f())")
    details = set()
    for imports, number in ((("numpy.linalg",), SHARING), ((), 1), ((), SHARING)):
        programs = [Program(f"{text}  # {at}", tests, cases=True, imports=imports) for at in range(number)]
        details |= {verdict.detail for verdict in slot.run(programs, LIMITS)}
    assert len(details) == 1


@pytest.mark.parametrize("module", ["import os\nos._exit(3)", "import sys\nsys.exit(3)", "import os\nos.abort()"])
def test_an_import_that_ends_its_process_ends_the_program_alone(module, tmp_path, monkeypatch):
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "ending.py").write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    programs = [Program(f"# {at}", cases("import ending"), cases=True, imports=("ending",)) for at in range(SHARING)]
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor:
        outcomes = {verdict.outcome for verdict in executor.run(programs, LIMITS)}
    assert outcomes <= {Outcome.KILLED, Outcome.EXCEPTION}


def test_a_socket_of_the_machine_is_out_of_reach(strong, tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        text = f"import socket\ndef f(): socket.socket(socket.AF_UNIX).connect({str(tmp_path / 'socket')!r})"
        assert "PermissionError" in run(strong, text, "f()").detail


@pytest.mark.parametrize(
    "script",
    [
        "open('/etc/hostname')",
        "os.listdir('/root')",
        "open('/usr/share/a', 'w')",
        "open('a', 'wb').write(bytes(2**27))",
    ],
)
def test_and_nothing_beyond(strong, script):
    verdict = run(strong, f"def f(): {script}", "f()")
    assert verdict.outcome is Outcome.EXCEPTION and "Error: [Errno " in verdict.detail


def test_nothing_is_left_for_the_next_program(strong):
    leaving = (
        "import subprocess, threading, time\ndef f():\n    subprocess.Popen(['sleep', '99'])\n"
        "    threading.Thread(target=time.sleep, args=(99,)).start()\n"
        "    for folder in ('.', '/tmp', '/dev/shm'): open(f'{folder}/left', 'w')\n    os.environ['LEFT'] = '1'"
    )
    finding = (
        "from pathlib import Path\ndef f():\n"
        "    files = [p for d in ('.', '/tmp', '/dev/shm') for p in Path(d).glob('left')]\n"
        "    others = [p for p in Path('/proc').glob('[0-9]*/comm') if p.read_text() == 'sleep\\n']\n"
        "    return files + others + ['LEFT'] * ('LEFT' in os.environ)"
    )
    assert run(strong, leaving, "f()").outcome is Outcome.PASSED
    verdict = run(strong, finding, "self.assertEqual(f(), [])")
    assert verdict.outcome is Outcome.PASSED, verdict.detail


def test_imports_of_the_problem_are_made_before_the_program(slot):
    loaded = cases("self.assertIn('yaml', sys.modules)")
    few, many = range(SHARING - 1), range(SHARING)
    for imports, numbers, outcome in (
        (("yaml",), few, Outcome.FAILED),  # not worth it
        (("yaml",), many, Outcome.PASSED),
        (("yaml",), few, Outcome.PASSED),
        ((), many, Outcome.FAILED),
        (("no_such",), many, Outcome.FAILED),
    ):
        programs = [Program(f"# {number}", loaded, cases=True, imports=imports) for number in numbers]
        assert {verdict.outcome for verdict in slot.run(programs, LIMITS)} == {outcome}


def test_an_import_that_starts_a_thread_is_left_to_each_program(slot, tmp_path, monkeypatch):
    (tmp_path / "site-packages").mkdir()
    module = "import threading, time\nthreading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n"
    (tmp_path / "site-packages" / "threaded.py").write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    body = "self.assertNotIn('threaded', sys.modules)\nimport threaded"
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor:
        programs = [Program(f"# {at}", cases(body), cases=True, imports=("threaded",)) for at in range(SHARING)]
        assert {verdict.outcome for verdict in executor.run(programs, LIMITS)} == {Outcome.PASSED}
