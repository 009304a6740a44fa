"""A g++ that works only where nothing is isolated is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.programs import Level, Limits, Program, Sandbox
from tests.execution.compiled.processes import needs

pytestmark = pytest.mark.slow
TESTS = "#include <cassert>\nint main() { assert(half(4) == 2); }"
HALF = Program("int half(int a) { return a / 2; }", TESTS, "cpp", None, "int half(int a) {\n")


def test_a_gxx_that_works_only_where_it_is_not_isolated_is_one_error_before_any_program(tmp_path, monkeypatch):
    needs("cpp")
    wrapper = Path(tmp_path, "g++")
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("g++")} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor:
        if "landlock" in executor.missing_layers():
            pytest.skip("needs Landlock, without which g++ may start anything")
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor, pytest.raises(UsageError) as raised:
        executor.run([HALF], Limits(timeout=5))
    said = str(raised.value)
    assert f"g++ ({wrapper}) makes programs on this machine, but none where it is isolated: " in said
    assert "it could not be started, as a script can't" in said and "put another g++ first on the path" in said
