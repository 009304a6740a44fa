"""Headers that are compiled beforehand are those that g++ reads, and are kept for the next run."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.execution.compiled.cpp import headers
from raysweep.execution.compiled.cpp.headers import (
    COMMON,
    LIBRARY,
    begins_with_library,
    behind,
    has_library,
    options,
    prepare,
)
from raysweep.execution.compiled.cpp.sources import CHECKED
from raysweep.execution.compiled.toolchains import state_of_headers, toolchain
from raysweep.execution.pool import Executor
from raysweep.programs import CPP, Level, Outcome, Sandbox
from tests.execution.compiled import programs
from tests.execution.compiled.processes import needs


def read_headers(chain, prepared, folder, name, text, *, checked=False):
    """Return the headers that g++ names for a text: a precompiled one begins with ``!``."""
    (folder / "program.cpp").write_text(text)
    flags = [CHECKED] if checked else []
    command = [chain.program, *options(chain, prepared), *flags, *behind(prepared, name, checked=checked), "-H"]
    done = subprocess.run([*command, "-c", "program.cpp"], cwd=folder, capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


@pytest.mark.slow
def test_a_precompiled_header_is_read_in_place_of_the_headers_and_assertions_stay(tmp_path):
    needs("cpp")
    chain = toolchain(CPP, "-O2 -std=c++11")
    prepared = prepare(str(tmp_path / "kept"), str(tmp_path), chain, library=False)
    assert Path(prepared).parent == tmp_path / "kept" and not has_library(prepared)
    text = "#include <vector>\n#include <math.h>\nstd::vector<int> found;\n"
    text += "#if defined(NDEBUG) || __cplusplus != 201103L\n#error\n#endif\n"
    for checked, file in ((False, "common.hpp"), (True, "checked_common.hpp")):
        said = read_headers(chain, prepared, tmp_path, COMMON, text, checked=checked)
        assert f"! {prepared}/{file}.gch" in said
        assert not any(line.startswith("..") for line in said)  # what includes others is guarded by then


def test_headers_are_kept_and_made_anew_for_other_flags_or_headers(tmp_path, monkeypatch):
    needs("cpp")
    made = []
    monkeypatch.setattr(
        headers, "_precompile", lambda folder, _, one: made.append((folder / f"{one.file}.gch").touch())
    )
    chain = toolchain(CPP, "-O0")
    kept = str(tmp_path / "kept")
    prepared = Path(prepare(kept, str(tmp_path), chain, library=False))
    files = sorted(prepared.glob("*.gch"))
    old = tmp_path / "kept" / "of another compiler"
    old.mkdir()
    os.utime(old, (0, 0))
    assert prepare(kept, str(tmp_path), chain, library=False) == str(prepared)
    assert len(made) == len(files) == 3 and old.exists()
    (prepared / "lock").unlink()
    (prepared / "lock").mkdir()  # as if the folder could only be read
    assert prepare(kept, str(tmp_path), chain, library=False) == str(prepared) and len(made) == 3
    (prepared / "lock").rmdir()
    files[0].unlink()  # as if it had been killed before
    prepare(kept, str(tmp_path), chain, library=False)
    assert len(made) == 4 and files[0].exists() and not old.exists()
    others = (toolchain(CPP, "-O1"), chain._replace(headers="others"))
    keys = {Path(prepare(kept, str(tmp_path), one, library=False)).name for one in others}
    assert len(keys | {prepared.name}) == 3


def test_a_header_that_changes_is_another_one_also_below_the_folders_that_gxx_names(tmp_path):
    deep = tmp_path / "bits" / "vector.h"
    deep.parent.mkdir()
    states = []
    for text in ("int a;", "int bc;"):
        deep.write_text(text)
        states.append(state_of_headers([str(tmp_path), str(tmp_path / "none")]))
    assert states[0] != states[1]


@pytest.mark.long
def test_headers_that_are_removed_while_programs_are_judged_are_made_again(tmp_path, monkeypatch):
    needs("cpp")
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path))
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor:
        for number in range(2):
            program = programs.program("cpp", "passed")
            wanted = [replace(program, text=f"{program.text}// {number} {one}") for one in range(3)]
            verdicts = executor.run(wanted, programs.LIMITS)
            assert [one.outcome for one in verdicts] == [Outcome.PASSED] * 3
            if number == 0:
                shutil.rmtree(tmp_path / "headers")
    assert list(tmp_path.glob("headers/*/wire.hpp.gch"))


def test_without_a_folder_to_keep_them_in_headers_are_made_for_one_slot(tmp_path, monkeypatch):
    monkeypatch.setattr(headers, "_fill", lambda folder, *_, **__: folder.mkdir())
    needs("cpp")
    (tmp_path / "file").touch()
    for number, kept in enumerate(("", str(tmp_path / "file"))):
        own = str(tmp_path / str(number))
        assert prepare(kept, own, toolchain(CPP, "-O0"), library=False) == own and Path(own).is_dir()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#include <bits/stdc++.h>\nusing namespace std;\n", True),
        ("// a\n/* b\n# c */\n #include <iostream> // d\n#  include<bits/stdc++.h>\nint a;", True),
        ("#define NDEBUG\n#include <bits/stdc++.h>\n", False),
        ("/*\n#include <bits/stdc++.h>\n*/\nint a;", False),
        ("// a \\\n#include <bits/stdc++.h>\nint a;", False),
        ("int a;\n#include <bits/stdc++.h>\n", False),
        ("#include <vector>\n", False),
        ("/* no end", False),
        ("", False),
    ],
)
def test_the_whole_library_is_taken_where_a_text_begins_with_it(text, expected):
    assert begins_with_library(text) is expected


@pytest.mark.long
def test_the_whole_library_has_all_that_its_own_header_has(tmp_path):
    needs("cpp")
    chain = toolchain(CPP, "-O0")
    prepared = prepare(str(tmp_path / "kept"), str(tmp_path), chain, library=True)
    assert has_library(prepared)
    text = "#include <bits/stdc++.h>\nstd::unordered_map<int, std::regex> all;\n"
    for checked in (False, True):
        said = read_headers(chain, prepared, tmp_path, LIBRARY, text, checked=checked)
        assert said[0].startswith(f"! {prepared}/") and not any("stl_vector.h" in line for line in said)
