"""The header that is compiled beforehand is one that g++ reads."""

from __future__ import annotations

import subprocess

import pytest

from raysweep.execution.compiled.cpp.builder import header, options, prepare
from raysweep.execution.compiled.toolchains import toolchain
from raysweep.programs import CPP
from tests.execution.compiled.processes import needs


@pytest.mark.parametrize("flags", ["-O0", "-O2 -std=c++11 -DNDEBUG"])
def test_the_precompiled_header_is_read_in_place_of_the_headers_and_assertions_stay(tmp_path, flags):
    needs("cpp")
    chain = toolchain(CPP, flags)
    prepare(tmp_path, chain)
    (tmp_path / "program.cpp").write_text(
        "#include <vector>\n#include <math.h>\nstd::vector<int> found;\n#ifdef NDEBUG\n#error\n#endif\n"
    )
    command = [chain.program, *options(chain), *header(str(tmp_path)), "-H", "-c", "program.cpp"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stderr
    assert f"! {tmp_path}/common.hpp.gch" in said.splitlines()
    assert ".. " not in said  # what includes others is guarded by then
