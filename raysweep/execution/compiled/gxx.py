"""Asks g++ what it knows: which folders it reads headers from, which programs it starts, where a library is."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from raysweep.errors import MissingInput, RaysweepError

PACKAGE = "g++"
"""What installs it in Debian and Ubuntu."""
SECONDS = 600.0  # of wall time for a question, which needs less than one of CPU time: only a hang takes longer
SYSTEM_PATH = "/usr/bin:/bin"
LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
_USUAL_HEADERS = ("/usr/include", "/usr/local/include")
_NEEDED = ("cc1plus", "collect2", "as", "ld")


def ask(*command: str) -> subprocess.CompletedProcess[str]:
    """Run g++ in an empty folder; raise MissingInput if it can't be started, RaysweepError if it hangs."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        with tempfile.TemporaryDirectory(prefix="raysweep-") as folder:
            return subprocess.run(
                command, capture_output=True, text=True, env=environment, timeout=SECONDS, check=False, cwd=folder
            )
    except subprocess.TimeoutExpired:
        raise RaysweepError(
            f"{shlex.join(command)} has not ended within {SECONDS:g} s; find out why by hand, or put another g++ "
            "first on the path"
        ) from None
    except OSError as error:
        raise MissingInput(
            f"{command[0]}, which programs in C++ need, can't be started: {error.strerror}; put another "
            f"g++ first on the path (Debian, Ubuntu: the package {PACKAGE})"
        ) from None


@lru_cache
def header_folders(compiler: str) -> tuple[str, ...]:
    said = ask(compiler, "-v", "-E", "-x", "c++", os.devnull).stderr
    _, _, listed = said.partition("search starts here:")
    lines = listed.partition("End of search list")[0].splitlines()
    folders = [str(Path(line.strip()).resolve()) for line in lines if line.strip().startswith("/")]
    return tuple(dict.fromkeys(folders)) or _USUAL_HEADERS


@lru_cache
def file_of_library(compiler: str, name: str) -> str:
    path = ask(compiler, f"-print-file-name={name}").stdout.strip()
    return str(Path(path).resolve()) if Path(path).is_absolute() else ""


def library_folders(compiler: str) -> list[str]:
    own = Path(ask(compiler, "-print-libgcc-file-name").stdout.strip()).resolve().parents[2]
    found = [file_of_library(compiler, name) for name in ("libc.a", "libstdc++.a", "crt1.o")]
    return [str(own), *(str(Path(path).parent) for path in found if path)]


def programs(compiler: str) -> dict[str, str]:
    """Return the programs that g++ starts, and the file of each.

    A program that it looks for on the path is named by its path there, which may be a link to the file.
    """
    found = {}
    for name in _NEEDED:
        said = ask(compiler, f"-print-prog-name={name}").stdout.strip()
        path = shutil.which(said) if said else None
        if path:
            found[path] = str(Path(path).resolve())
    return found


def search_path(paths: Sequence[str]) -> str:
    """Return the PATH under which g++ finds its programs, behind which the system's folders stand."""
    return ":".join(dict.fromkeys([*(str(Path(path).parent) for path in paths), *SYSTEM_PATH.split(":")]))


def shared_libraries(files: Sequence[str]) -> list[str]:
    loader = next((path for path in LOADERS if Path(path).exists()), "")
    said = [ask(loader, "--list", file).stdout for file in files] if loader else []
    words = [line.partition(" => ")[2].partition(" (")[0].strip() for text in said for line in text.splitlines()]
    return sorted({str(Path(word).resolve()) for word in words if word.startswith("/")})
