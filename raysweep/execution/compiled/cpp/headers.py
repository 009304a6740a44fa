"""Headers of C++ that are precompiled once for a compiler with its flags, and kept over runs.

A text is compiled behind one of them, which saves a third of the time, and five sixths behind the whole library. They
lack what costs every program more than it saves: <iostream>, whose start has to be linked in, and the templates behind
the special functions of <cmath> and std::stoi, which g++ would make anew each time. Tests have ones of their own, in
which a wrong index ends them.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from raysweep.execution.compiled.cpp.sources import CHECKED, HEADERS, INCLUDE
from raysweep.execution.compiled.syntax import UnreadableError
from raysweep.execution.compiled.tokens import each_token
from raysweep.execution.compiled.toolchains import MESSAGES, Toolchain
from raysweep.execution.isolation.process_tree import own_marker

GIVEN = (
    "stdlib.h", "algorithm", "math.h", "stdio.h", "vector", "string", "climits", "cstring", "iostream",
)  # fmt: skip
"""Headers that every program in C++ has: those that HumanEval-X's own harness puts before each program.

Source: https://github.com/THUDM/CodeGeeX, codegeex/benchmark/utils.py, IMPORT_HELPER.
"""
COMMON, LIBRARY, WIRE = "common.hpp", "library.hpp", "wire.hpp"
"""What most texts are compiled behind, those that begin with all of the library, and raysweep's own generated ones."""
PLAIN = "whole.hpp"
"""All that every program has; not precompiled."""
_LATE = "iostream"
_ALL = "bits/stdc++.h"
_INCLUDE = re.compile(r"#\s*include\s*<([^>\n]*)>")
_UNFINISHED = "unfinished"
_UNUSED_SECONDS = 30 * 24 * 3600.0
"""After which the headers of another compiler, or of other flags, are removed."""


def options(chain: Toolchain, prepared: str) -> list[str]:
    """Return the options that every text is compiled with; a precompiled header is read behind the same ones only."""
    return [*chain.flags, "-static", *MESSAGES, "-I", prepared]


def behind(prepared: str, name: str, *, checked: bool = False) -> list[str]:
    """Return the options for a precompiled header. `checked`: the one for tests, which need the flag CHECKED too."""
    return ["-include", f"{prepared}/{_file(name, checked=checked)}"]


def has_library(prepared: str) -> bool:
    return Path(prepared, f"{_file(LIBRARY, checked=True)}.gch").exists()


def begins_with_library(text: str) -> bool:
    """Return True if nothing but comments and other headers stands before a text's ``#include <bits/stdc++.h>``.

    Only then has it no macro that this header would read.
    """
    with suppress(UnreadableError):
        for token in each_token(text, directives=True):
            found = _INCLUDE.match(token.text) if token.kind == "directive" else None
            if found is None or found[1] == _ALL:
                return found is not None
    return False


def prepare(kept: str, folder: str, chain: Toolchain, *, library: bool) -> str:
    """Return the folder with the precompiled headers and raysweep's own; make what it lacks.

    raysweep's own are copied, since the folder that they are installed in is hidden from compilers.

    `kept`: the folder for all compilers; "", or one that can't be used: they are made in `folder`, for one slot.
    `library`: with those of the whole library, which have 200 MB and take ten seconds.

    Raises:
        OSError: g++ can't compile its own headers.
    """
    if kept:
        own = Path(kept, _key(chain))
        with suppress(OSError):
            if not _is_complete(own, library=library):
                own.mkdir(mode=0o700, parents=True, exist_ok=True)
                with (own / "lock").open("w") as lock:  # other slots wait, and find them made
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    _fill(own, chain, library=library)
                _remove_unused(own)
            with suppress(OSError):  # others made them, in a folder that this user only reads
                os.utime(own)
            return str(own)
    _fill(Path(folder), chain, library=library)
    return folder


def _file(name: str, *, checked: bool) -> str:
    return f"checked_{name}" if checked else name


class _Precompiled(NamedTuple):
    """A header with its texts, of which g++ gets the first that it can compile."""

    file: str
    texts: tuple[str, ...]
    flags: tuple[str, ...] = ()


def _precompiled(*, library: bool) -> list[_Precompiled]:
    # another version of g++'s library may declare the templates of special functions otherwise
    small = _including([name for name in GIVEN if name != _LATE])
    special, strings = (
        (INCLUDE / f"raysweep_{name}.hpp").read_text(encoding="utf-8") for name in ("special", "strings")
    )
    special, wire = f"{special}{strings}", '#include <stdlib.h>\n#include "raysweep_wire.hpp"\n'
    texts = {COMMON: small, **({LIBRARY: small + _including([_ALL])} if library else {})}
    return [
        _Precompiled(WIRE, (wire + strings, wire)),
        *(_Precompiled(name, (text + special, text)) for name, text in texts.items()),
        *(_Precompiled(_file(name, checked=True), (text + special, text), (CHECKED,)) for name, text in texts.items()),
    ]


def _key(chain: Toolchain) -> str:
    shipped = [(INCLUDE / name).read_text(encoding="utf-8") for name in HEADERS]
    facts = [chain.identity, chain.program, chain.headers, repr(_precompiled(library=True)), *shipped]
    return sha256("\0".join(facts).encode()).hexdigest()[:16]


def _is_complete(folder: Path, *, library: bool) -> bool:
    names = [*HEADERS, PLAIN, *(f"{one.file}.gch" for one in _precompiled(library=library))]
    return all((folder / name).exists() for name in names)


def _fill(folder: Path, chain: Toolchain, *, library: bool) -> None:
    """Make what a folder lacks. What a killed process leaves unfinished has another name."""
    plain = {name: (INCLUDE / name).read_text(encoding="utf-8") for name in HEADERS} | {PLAIN: _including(GIVEN)}
    for name, text in plain.items():
        if not (folder / name).exists():
            (folder / _UNFINISHED).write_text(text, encoding="utf-8")
            (folder / _UNFINISHED).replace(folder / name)
    for header in _precompiled(library=library):
        if not (folder / f"{header.file}.gch").exists():
            _precompile(folder, chain, header)


def _precompile(folder: Path, chain: Toolchain, header: _Precompiled) -> None:
    command = [chain.program, *options(chain, str(folder)), *header.flags, "-x", "c++-header", header.file]
    environment = {"PATH": chain.path} | own_marker()
    for text in header.texts:
        (folder / header.file).write_text(text)
        made = subprocess.run(
            [*command, "-o", _UNFINISHED], cwd=folder, env=environment, capture_output=True, check=False
        )
        if made.returncode == 0:
            with (folder / _UNFINISHED).open("rb") as file:
                os.fsync(file)  # else it may be cut when the machine's power fails
            (folder / _UNFINISHED).replace(folder / f"{header.file}.gch")
            return
    raise OSError(0, f"g++ can't compile its own headers: {made.stderr[:200].decode(errors='replace')}")


def _including(names: Sequence[str]) -> str:
    return "".join(f"#include <{name}>\n" for name in names)


def _remove_unused(own: Path) -> None:
    for other in own.parent.iterdir():
        with suppress(OSError):
            if other != own and time.time() - other.stat().st_mtime > _UNUSED_SECONDS:
                shutil.rmtree(other)
