"""Flags of g++ that may stand in a config, and those that are refused before g++ is started."""

from __future__ import annotations

import pytest

from raysweep.execution.compiled.gxx_flags import UnusableFlags, usable_flags
from raysweep.execution.compiled.toolchains import missing_headers, toolchain
from raysweep.programs import CPP
from tests.execution.compiled.processes import needs

USABLE = (
    "-O0 -O2 -Os -std=c++20 --std=c++17 -fno-exceptions -flto -fuse-ld=bfd -ftrivial-auto-var-init=pattern -m64 "
    "-march=native -W -Wall -Wno-error=vla -w -g -g3 -D NAME=1 -DPATH=/etc -UNDEBUG -lm -l crypto -pthread -pipe "
    "-static -static-libstdc++ --param max-inline-insns-auto=3 -include bits/stdc++.h -Wl,-O1 -Wl,-z,now "
    "-Wp,-D_FORTIFY_SOURCE=2 -fmax-errors=1 -pedantic-errors"
)
REFUSED = (
    "-o -omine --output=mine --output -c -S -E -M -MD -MF -MMD -save-temps -save-temps=obj -dumpdir -dumpbase "
    "-fdump-tree-all -fdump-rtl-all=/etc/x -fdump-ada-spec -ftime-trace -fprofile-generate -fprofile-use "
    "-fprofile-arcs -ftest-coverage --coverage -fstack-usage -fcallgraph-info -specs=mine -wrapper -B/mine -Bmine "
    "-fplugin=mine -x -### -v -shared -r -pg -fopt-info-all=mine -fmodules-ts -gsplit-dwarf -fsyntax-only "
    "-fdiagnostics-format=json -Wl,-o,mine -Wl,-Map=mine -Wl,-Map,mine -Wl,-Tmine -Wl,@mine -Wl,-r -Wl,-shared "
    "-Wp,-MD,mine -Xlinker -T -nostdlib --sysroot=/mine -isysroot -ffile-prefix-map=/a=b -fresolution=mine "
    "-Wl,--dependency-file=mine -Wl,-plugin,mine"
)


def refusal(flags: str) -> str:
    with pytest.raises(UnusableFlags) as raised:
        usable_flags(flags)
    return str(raised.value)


def test_flags_of_how_a_program_is_compiled_are_usable(tmp_path):
    assert " ".join(usable_flags(USABLE)) == USABLE
    assert usable_flags(f"-I{tmp_path} -L '{tmp_path}' -isystem {tmp_path}")[2] == str(tmp_path)


@pytest.mark.parametrize("flag", REFUSED.split())
def test_flags_that_use_files_or_change_what_is_made_are_refused_by_name(flag):
    assert refusal(f"-O0 {flag} mine").startswith(f"execution.cpp_flags: {flag!r} ")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("O2", "'O2' isn't a flag, and g++ is given no other files; did you mean -O2?"),
        ("-O2 mine.cpp", "'mine.cpp' isn't a flag, and g++ is given no other files"),
        ("@mine", "'@mine' isn't a flag"),
        ("-- -O2", "'--' isn't a flag"),
        ("-I include", "'-I include' names a relative folder; name it by its absolute path"),
        ("-Linclude", "'-Linclude' names a relative folder"),
        ("-isystem /nowhere/at/all", "'-isystem /nowhere/at/all' names a folder that this machine doesn't have"),
        ("-include /etc/passwd", "'-include /etc/passwd' names a file by its path"),
        ("-include ../mine", "names a file by its path; name the folder with -I, and the file in it"),
        ("-O2 -I", "'-I' lacks its value, which stands behind it"),
        ("-O0 '", "can't be read as a shell reads them: no closing quotation"),
    ],
)
def test_arguments_that_are_no_flags_and_folders_that_are_not_there_are_refused(flags, reason):
    assert reason in refusal(flags) and "execution.cpp_flags" in refusal(flags)


@pytest.mark.slow
def test_no_flag_writes_a_file_of_the_user(tmp_path, monkeypatch):
    needs("cpp")
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    mine.write_text("mine")
    for flags in ("-o mine", f"-o{mine}", f"-MD -MF {mine}", "-Wl,-Map=mine", "-save-temps"):
        with pytest.raises(UnusableFlags):
            toolchain(CPP, flags)
        missing_headers(flags)
    toolchain(CPP, "-O0 -fstack-protector")
    assert mine.read_text() == "mine" and list(tmp_path.iterdir()) == [mine]
