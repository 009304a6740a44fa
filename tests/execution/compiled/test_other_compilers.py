"""A g++ with other flags, in another folder or without what it needs works behind the layers, or is refused there."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.programs import Level, Limits, Outcome, Program, Sandbox
from tests.execution.compiled.processes import needs

pytestmark = pytest.mark.slow
TESTS = "#include <cassert>\nint main() { assert(half(4) == 2); }"
HALF = Program("int half(int a) { return a / 2; }", TESTS, "cpp", None, "int half(int a) {\n")


def outcome(program: Program, flags: str) -> Outcome:
    with Executor(1, Sandbox(require=Level.LIMITS, cpp_flags=flags)) as executor:
        (verdict,) = executor.run([program], Limits(timeout=5))
    return verdict.outcome


def test_flags_that_name_folders_or_ask_for_more_of_gxxs_programs_compile_programs(tmp_path):
    needs("cpp")
    (tmp_path / "own.hpp").write_text("inline int halved(int a) { return a / 2; }\n")
    program = dataclasses.replace(HALF, text="#include <own.hpp>\nint half(int a) { return halved(a); }")
    assert outcome(program, f"-O0 -flto -I{tmp_path}") is Outcome.PASSED


def test_a_gxx_that_works_only_where_it_is_not_isolated_is_one_error_before_any_program(tmp_path, monkeypatch):
    needs("cpp")
    wrapper = Path(tmp_path, "g++")
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("g++")} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor:
        if "landlock" in executor.missing_layers():
            pytest.skip("needs Landlock, without which g++ may start anything")
    with pytest.raises(UsageError) as raised:
        outcome(HALF, "-O0")
    said = str(raised.value)
    assert f"g++ ({wrapper}) with the flags '-O0' (execution.cpp_flags) makes programs on this machine, but" in said
    assert "it could not be started, as a script can't" in said and "or put another g++ first on the path" in said
