"""A slot's process that ends before it is up: the error says how it ended, what it said last, and the way out."""

from __future__ import annotations

import platform
import sys

import pytest

from raysweep.errors import RaysweepError
from raysweep.execution import slot
from raysweep.execution.pool import Executor
from raysweep.programs import JAVA, PYTHON, Limits, Oracle, Program
from tests.execution.compiled.processes import needs
from tests.execution.isolation.test_old_kernels import REFUSING

pytestmark = pytest.mark.slow

UNSHARE = 272  # on x86_64
KILLING = REFUSING.replace("0x50000 | 1", "0x80000000")
INTERPRETERS = {
    "a library is missing": ("exec {python} -c 'import gone'", r"exit code 1.* stderr .*'gone'; .*install it again"),
    "no standard library": ("PYTHONHOME=/gone exec {python} \"$@\"", r"No module named 'encodings'.*; .* another one"),
    "another program": ("echo 'bad flag' >&2; echo welcome; exit 3", r"exit code 3.* stderr are: bad flag; .*report"),
    "little memory": ("ulimit -v 16000; exec {python} \"$@\"", r"(Memory|memory|map).*; .*`ulimit -v`"),
    "a kill": ("kill -9 $$", r"signal 9 \(SIGKILL\) and said nothing; .* want of memory"),
    "a profile that kills": ("exec {python} {filter} {unshare} \"$@\"", r"\(SIGSYS\).*; a seccomp .*another"),
}  # fmt: skip


@pytest.fixture
def start_with(tmp_path, monkeypatch):
    """Return a function that lets a script of the shell take the place of Python in slots."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    places = {"python": sys.executable, "filter": tmp_path / "filter.py", "unshare": UNSHARE}
    places["filter"].write_text(f"{KILLING}\nos.execv(sys.executable, [sys.executable, *sys.argv[2:]])\n")

    def start_with(script: str) -> None:
        interpreter = tmp_path / "interpreter"
        interpreter.write_text(f"#!/bin/sh\n{script.format(**places)}\n")
        interpreter.chmod(0o755)
        monkeypatch.setattr(slot.sys, "executable", str(interpreter))

    yield start_with
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("name", INTERPRETERS)
def test_the_error_tells_why_a_process_ended(name, start_with):
    script, message = INTERPRETERS[name]
    if "{filter}" in script and platform.machine() != "x86_64":
        pytest.skip("the filter of this test is written for x86_64")
    start_with(script)
    with Executor() as executor, pytest.raises(RaysweepError, match=rf"can't be started: it ended with .*{message}"):
        executor.level()


def test_a_program_that_prints_in_the_place_of_python_and_goes_on_is_no_process(start_with):
    start_with("echo welcome; exec sleep 3600")
    with Executor() as executor, pytest.raises(RaysweepError, match=r"it goes on without answering"):
        executor.level()


def test_a_java_compiler_without_memory_says_so(start_with):
    needs(JAVA)
    start_with('ulimit -v 500000; exec {python} "$@"')
    program = Program("class A {}", "public class Main { public static void main(String[] a) { } }", JAVA)
    with Executor() as executor, pytest.raises(RaysweepError, match=r"javac can't .*; it got no memory, .*`ulimit -v`"):
        executor.run([program], Limits())


def test_folders_of_packages_alone_are_shown_to_programs(monkeypatch, tmp_path):
    """Another folder on Python's path may hold anything, also where packages were installed into it."""
    (tmp_path / "foo-1.0.dist-info").mkdir()
    more = tmp_path / "lib" / "site-packages"
    monkeypatch.setattr(slot.sys, "path", [*sys.path, str(tmp_path), str(more), "site-packages", ""])
    assert str(more) in slot._package_folders()
    assert not {str(tmp_path), "site-packages", ""} & set(slot._package_folders())


@pytest.mark.parametrize("oracle", Oracle)
def test_an_error_behind_the_layers_is_told_too(oracle, monkeypatch):
    """Standard error is a program's by then."""
    module = "raysweep.execution.python.start"
    without_verify = f"raysweep.execution.python import forks; forks.verify = None; from {module}"
    monkeypatch.setitem(slot.LANGUAGES, PYTHON, without_verify)
    with Executor() as executor, pytest.raises(RaysweepError, match=r"with exit code 1, .*'NoneType' .* not callable"):
        executor.run([Program("def f(): pass", "f()", oracle=oracle)], Limits())


def test_an_interpreter_that_is_gone_is_named(monkeypatch):
    monkeypatch.setattr(slot.sys, "executable", "/gone/python")
    with Executor() as executor, pytest.raises(RaysweepError, match=r"started: .*'/gone/python'; start raysweep with"):
        executor.level()
