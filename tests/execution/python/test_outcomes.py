"""Each outcome, from a real program; and that a program can't talk itself into another one."""

from __future__ import annotations

import signal
import sys

import pytest

from raysweep.execution.pool import Executor
from raysweep.programs import Limits, Oracle, Outcome, Program, Verdict

LIMITS = Limits(timeout=2, wall_factor=10, memory_mib=512)
NULL_ERROR = "ValueError" if sys.version_info < (3, 11, 4) else "SyntaxError"


@pytest.fixture(scope="module")
def executor():
    with Executor() as executor:
        yield executor


def run(executor: Executor, text: str, limits: Limits = LIMITS) -> Verdict:
    return executor.run([Program(text)], limits)[0]


@pytest.mark.parametrize(
    ("text", "outcome", "detail"),
    [
        ("def f():\n    return 1\nassert f() == 1", Outcome.PASSED, ""),
        ("def check(f):\n    assert f() == 2, 'two'\n\ncheck(lambda: 1)", Outcome.FAILED, "assert f() == 2, 'two'"),
        ("undefined_name", Outcome.EXCEPTION, "NameError: name 'undefined_name' is not defined"),
        ("raise KeyboardInterrupt", Outcome.EXCEPTION, "KeyboardInterrupt"),
        ("input()", Outcome.EXCEPTION, "EOFError: EOF when reading a line"),
        ("eval('1 +')", Outcome.EXCEPTION, "SyntaxError: invalid syntax (<string>, line 1)"),
        ("def f(:\n    pass", Outcome.SYNTAX_ERROR, "SyntaxError: invalid syntax (<program>, line 1)"),
        ("x = '\0'", Outcome.SYNTAX_ERROR, f"{NULL_ERROR}: source code string cannot contain null bytes"),
        ("x = bytearray(2 * 2**30)", Outcome.MEMORY, "MemoryError"),
        ("x = []\nwhile True:\n    x.append('x' * 2**20)", Outcome.MEMORY, "MemoryError"),
        ("import os; os.kill(os.getpid(), 9)", Outcome.KILLED, "signal Killed"),
        ("import faulthandler; faulthandler._sigsegv()", Outcome.KILLED, "signal Segmentation fault"),
        ("class Odd(Exception):\n    def __str__(self): raise SystemExit(0)\nraise Odd", Outcome.EXCEPTION, "Odd"),
        ("import unittest as u\nu.TestCase().assertEqual(1, 2)", Outcome.FAILED, "u.TestCase().assertEqual(1, 2)"),
        ("import resource as r; assert r.getrlimit(r.RLIMIT_CORE)[0] == 0", Outcome.PASSED, ""),
    ],
)
def test_a_program_gets_its_outcome_and_a_line_about_it(executor, text, outcome, detail):
    verdict = run(executor, text)
    assert (verdict.outcome, verdict.detail) == (outcome, detail)


def test_an_endless_loop_ends_near_its_cpu_limit(executor):
    verdict = run(executor, "while True: pass", Limits(timeout=0.5, wall_factor=60))
    assert verdict.outcome is Outcome.TIMEOUT
    assert verdict.detail == "more than 0.5 s of effective time"
    assert 0.5 <= verdict.seconds < 5  # of CPU time


def test_sleeping_counts_as_it_would_on_an_idle_machine(executor):
    verdict = run(executor, "import time; time.sleep(60)", Limits(timeout=0.5))
    assert (verdict.outcome, verdict.detail) == (Outcome.TIMEOUT, "more than 0.5 s of effective time")
    assert run(executor, "import time; time.sleep(0.3)", Limits(timeout=10)).outcome is Outcome.PASSED


def test_cpu_time_of_threads_counts(executor):
    text = """
import hashlib, threading
def work():
    for _ in range(100): hashlib.pbkdf2_hmac('sha256', b'x', b'y', 10**5)  # without the interpreter's lock
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    assert run(executor, text, Limits(timeout=0.5)).outcome is Outcome.TIMEOUT


def test_catching_everything_does_not_disarm_the_limit(executor):
    text = """
import signal
for number in (signal.SIGXCPU, signal.SIGTERM, signal.SIGALRM):
    signal.signal(number, signal.SIG_IGN)
while True:
    try:
        while True: pass
    except BaseException:
        pass
"""
    assert run(executor, text, Limits(timeout=0.3)).outcome is Outcome.TIMEOUT


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_endless_output_is_stopped(executor, stream):
    verdict = run(executor, f"import sys\nwhile True: sys.{stream}.write('x' * 1000)", Limits(output_kib=64))
    assert (verdict.outcome, verdict.detail) == (
        Outcome.OUTPUT_LIMIT,
        "more than 64 KiB of output (execution.output_kib)",
    )


def test_output_beyond_the_limit_decides_however_fast_the_program_ends(executor):
    assert run(executor, "print('x' * 3000)", Limits(output_kib=2)).outcome is Outcome.OUTPUT_LIMIT
    assert run(executor, "print('x' * 1000)", Limits(output_kib=2)).outcome is Outcome.PASSED


def test_the_first_300_characters_of_stderr_are_kept(executor):
    verdict = run(executor, "import sys\nprint('é' * 1000, file=sys.stderr)\nassert False")
    assert verdict.stderr == "é" * 300
    assert verdict.outcome is Outcome.FAILED


def test_a_detail_is_one_line_of_at_most_300_characters(executor):
    verdict = run(executor, "raise ValueError('a\\n' * 1000)")
    assert verdict.detail.startswith("ValueError: a a a")
    assert len(verdict.detail) == 300
    assert len(run(executor, f"assert not '{'x' * 1000}'").detail) == 300


@pytest.mark.parametrize(
    "ending",
    [
        "import sys; sys.exit(0)",
        "raise SystemExit",
        "import os; os._exit(0)",
        "print('passed', flush=True); import os; os._exit(0)",
        "import os; os.closerange(3, 200)",
        "import os\nfor fd in range(3, 200):\n    try: os.write(fd, b'passed\\n')\n    except OSError: pass",
        "import os\nfor fd in range(3, 200):\n    try: os.write(fd, b'0' * 32 + b'passed\\n')\n"
        "    except OSError: pass\nos._exit(0)",
    ],
)
def test_ending_early_or_meddling_with_descriptors_does_not_pass(executor, ending):
    assert run(executor, f"{ending}\nassert 1 == 2 or True").outcome is Outcome.KILLED


def test_programs_see_empty_globals_and_an_empty_folder_and_none_of_the_environment(executor, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "secret")
    text = """
names = set(globals())
assert names == {'__builtins__'}, names
import os
assert __name__ == 'builtins'
assert os.listdir('.') == []
assert 'SOME_TOKEN' not in os.environ
assert os.environ['HOME'] == os.getcwd()
open('left', 'w').write('x')
"""
    for number in range(2):  # the second would find what the first left
        verdict = run(executor, f"{text}#{number}")
        assert (verdict.outcome, verdict.detail) == (Outcome.PASSED, "")


def test_sets_have_the_same_order_in_every_interpreter(executor):
    text = "import sys; print(list(set('abcdefgh')), file=sys.stderr)"
    assert len({run(executor, f"{text} #{n}").stderr for n in range(4)}) == 1


def test_installed_packages_can_be_imported(executor):
    verdict = run(executor, "import numpy; assert numpy.arange(3).sum() == 3", Limits())
    assert (verdict.outcome, verdict.detail) == (Outcome.PASSED, "")


def test_a_program_of_two_megabytes_and_one_with_half_a_surrogate_are_judged(executor):
    assert run(executor, f"x = '{'a' * 2**21}'\nassert len(x) == 2**21").outcome is Outcome.PASSED
    assert run(executor, "assert '\ud800'").outcome is Outcome.SYNTAX_ERROR


@pytest.mark.slow
def test_files_are_limited_in_size(executor):
    assert run(executor, "open('big', 'wb').write(bytes(20 * 2**20))").detail.startswith("OSError: [Errno 27]")


@pytest.mark.parametrize("oracle", list(Oracle))
def test_signals_that_the_commands_shell_ignores_reach_programs(oracle):
    program = Program("import os, signal\nos.kill(os.getpid(), signal.SIGHUP)\n", "assert True", oracle=oracle)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Executor(1) as executor:
            (verdict,) = executor.run([program], LIMITS)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (verdict.outcome, verdict.detail) == (Outcome.KILLED, "signal Hangup")
