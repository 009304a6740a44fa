"""What g++ says of a text that it refuses."""

from __future__ import annotations

import subprocess

import pytest

from raysweep.execution.compiled.toolchains import MESSAGES, toolchain
from raysweep.programs import CPP
from tests.execution.compiled.processes import needs

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "text",
    [
        "int main() { return half(1); }",
        "#include <vector>\nint main() { std::vector<int> all; all.add(1); std::string s = all; }",
        "#include <no_such.h>\n",
        "template <class T> struct A { typename T::type a; };\nA<int> made;\nint main() { int unused; }",
        "int main() {\n",
    ],
)
def test_messages_are_those_of_plain_output_which_old_versions_do_not_know(tmp_path, text):
    needs("cpp")
    chain = toolchain(CPP, "-O0")
    (tmp_path / "program.cpp").write_text(text)

    def said(*flags: str) -> str:
        command = [chain.program, *flags, "-c", "program.cpp"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stderr

    if "unrecognized" in (plain := said("-fdiagnostics-plain-output", "-w")):
        pytest.skip("this g++ does not know it")
    assert said(*MESSAGES) == plain and "error: " in plain
