"""Compilers of this machine: which are used, what keys name of them, and what is said where one can't be used."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from raysweep.engine.ray.cluster.node_versions import identity_or_none
from raysweep.errors import MissingInput, RaysweepError, UsageError
from raysweep.execution.compiled import toolchains
from raysweep.execution.compiled.toolchains import JUDGED_AS, missing_headers, toolchain
from raysweep.execution.runtimes import identity
from raysweep.execution.slot import ProcessKind, Slot
from raysweep.programs import CPP, DEFAULT_SANDBOX, JAVA, PYTHON, Sandbox
from raysweep.tools.doctor import part_checks
from tests.execution.compiled.processes import needs

pytestmark = pytest.mark.slow


def jdk(folder: Path, version: str) -> Path:
    """Make a folder that says of itself that it is a JDK of a version."""
    (folder / "bin").mkdir(parents=True)
    for name in ("java", "javac"):
        (folder / "bin" / name).write_text("#!/bin/sh\n")
        (folder / "bin" / name).chmod(0o755)
    (folder / "release").write_text(
        f'IMPLEMENTOR="N/A"\nJAVA_RUNTIME_VERSION="{version}+9"\nJAVA_VERSION="{version}"\n'
    )
    return folder


def gxx(folder: Path, version: str, build: str = "(GCC)") -> Path:
    """Make a folder with a g++ that is this machine's but for its version and who built it."""
    needs("cpp")
    folder.mkdir()
    said = f'[ "$1" = -dumpfullversion ] && exec echo {version}\n'
    said += f'[ "$1" = --version ] && exec echo "g++ {build} {version}"'
    script = f'#!/bin/sh\n{said}\nexec {shutil.which("g++")} "$@"\n'
    (folder / "g++").write_text(script)
    (folder / "g++").chmod(0o755)
    return folder


def refusal(language: str, flags: str = "-O0") -> str:
    with pytest.raises(MissingInput) as raised:
        toolchain(language, flags)
    return str(raised.value)


def test_without_a_compiler_the_package_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert "no JDK (javac)" in refusal(JAVA) and "the package default-jdk-headless" in refusal(JAVA)
    assert "no g++" in refusal(CPP) and "the package g++" in refusal(CPP)
    found = part_checks.compilers()
    assert found.state is part_checks.State.ABSENT
    assert "default-jdk-headless" in found.found and "the package g++" in found.found


@pytest.mark.parametrize("version", ["11.0.2", "1.8.0_392"])
def test_a_jdk_that_is_too_old_is_refused_wherever_it_was_found(version, tmp_path, monkeypatch):
    old = jdk(tmp_path / "old", version)
    monkeypatch.setenv("JAVA_HOME", str(old))
    assert f"the JDK in {old} is of version {version}, and programs in Java need 17 or newer" in refusal(JAVA)
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", f"{old}/bin")
    assert f"version {version}" in refusal(JAVA) and "default-jdk-headless" in refusal(JAVA)
    assert f"version {version}" in part_checks.compilers().found


def test_a_java_home_without_a_jdk_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert f"JAVA_HOME is {tmp_path}, which holds no JDK (bin/javac)" in refusal(JAVA)


def test_another_version_has_another_name_in_keys_and_python_has_none(tmp_path, monkeypatch):
    names = set()
    for version in ("17.0.1", "21.0.3"):
        monkeypatch.setenv("JAVA_HOME", str(jdk(tmp_path / version, version)))
        names.add(identity(JAVA, "-O0"))
        assert version in identity(JAVA, "-O0") and identity(PYTHON, "-O0") == ""
    assert len(names) == 2


def test_another_gxx_or_other_flags_have_another_name_in_keys(tmp_path, monkeypatch):
    needs("cpp")
    here = {identity(CPP, flags) for flags in ("-O0", "-O1")}
    monkeypatch.setenv("PATH", str(gxx(tmp_path / "bin", "99.1.0")), prepend=":")
    assert "g++ 99.1.0 (GCC) " in identity(CPP, "-O0") and len({identity(CPP, "-O0"), *here}) == 3
    monkeypatch.setenv("PATH", str(gxx(tmp_path / "other", "99.1.0", "(A, B 99.1.0-1)")), prepend=":")
    assert "g++ 99.1.0 (A B 99.1.0-1) " in identity(CPP, "-O0")


def test_a_standard_that_gxx_does_not_know_is_refused():
    needs("cpp")
    with pytest.raises(
        UsageError, match=r"g\+\+ refuses -O0 -std=c\+\+99 \(execution.cpp_standard\): .*'-std=c\+\+99'"
    ):
        toolchain(CPP, Sandbox(cpp_standard="c++99").cpp_flags)
    assert toolchain(CPP, Sandbox(cpp_standard="c++20", cpp_optimise=2).cpp_flags).flags == ("-O2", "-std=c++20")
    assert toolchain(CPP, DEFAULT_SANDBOX.cpp_flags).flags == ("-O0",)


def test_a_gxx_that_links_nothing_statically_is_not_blamed_on_the_standard(tmp_path, monkeypatch):
    (tmp_path / "g++").write_text("#!/bin/sh\necho '/usr/bin/ld: cannot find -lstdc++' >&2\nexit 1\n")
    (tmp_path / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert "on this machine g++ makes no static program" in refusal(CPP)
    assert "cannot find -lstdc++" in refusal(CPP)


def test_a_gxx_that_hangs_or_is_no_program_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "g++").write_text("no program")
    (tmp_path / "g++").chmod(0o755)
    assert re.search(r"/g\+\+, which programs in C\+\+ need, can't be started: Exec format", refusal(CPP))
    (tmp_path / "g++").write_text("#!/bin/sh\nexec sleep 3600\n")
    assert toolchains.SECONDS >= 600  # of which a machine that is a hundred times too busy leaves some
    monkeypatch.setattr(toolchains, "SECONDS", 0.1)
    for ask in (lambda: toolchain(CPP, "-O0"), lambda: identity_or_none(CPP, "-O0")):
        with pytest.raises(RaysweepError, match=r"g\+\+ -v .* has not ended within 0.1 s; find out why") as raised:
            ask()
        assert not isinstance(raised.value, UsageError)  # nothing is missing, so no key may say so


def test_headers_that_are_missing_are_told_with_their_packages(monkeypatch):
    needs("cpp")
    monkeypatch.setattr(toolchains, "HEADERS", {"vector": "g++", "string": "g++"})
    assert missing_headers() == {} and "without" not in identity(CPP, "-O0")
    assert identity(CPP, "-O2").endswith(f", -O2, {JUDGED_AS[CPP]}")
    monkeypatch.setattr(toolchains, "HEADERS", {"vector": "g++", "boost/no_such.hpp": "libboost-dev"})
    assert missing_headers() == {"boost/no_such.hpp": "libboost-dev"}
    assert (
        "no boost/no_such.hpp, which some problems in C++ include: install libboost-dev"
        in part_checks.compilers().found
    )
    assert " without boost/no_such.hpp, -O0, " in identity(CPP, "-O0")  # other programs may include them, too


def test_a_header_without_its_static_library_counts_as_missing(monkeypatch):
    needs("cpp")
    monkeypatch.setattr(toolchains, "HEADERS", {"vector": "g++", "string": "g++"})
    monkeypatch.setattr(toolchains, "_LIBRARIES", {"vector": ("libnone.a", "none-dev"), "string": ("libc.a", "libc")})
    assert missing_headers() == {"vector": "none-dev"}
    assert " without vector, -O0, " in identity(CPP, "-O0")


@pytest.mark.parametrize("language", [JAVA, CPP])
def test_a_machine_with_another_compiler_than_keys_name_judges_nothing(language):
    needs(language)
    one = identity(language, "-O0")
    kind = ProcessKind(language)
    Slot(Sandbox(compilers=((language, one),)))._process_for(kind)
    with pytest.raises(UsageError, match="results are made with 'another one'; install the same on all n") as raised:
        Slot(Sandbox(compilers=((language, "another one"),)))._process_for(kind)
    assert one in str(raised.value)
