"""Finds the compilers and run times of Java and C++ on this machine, and names them for keys of verdicts.

A `Toolchain` is plain data: the slot finds it in raysweep's own process and sends it to the process that compiles and
runs programs. Nothing is started for Java; g++ is asked for its version, its files and whether it knows the standard.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from raysweep.errors import MissingInput, RaysweepError, UsageError
from raysweep.programs import CPP, JAVA, LANGUAGE_WORDS

PACKAGES = {JAVA: "default-jdk-headless", CPP: "g++"}
"""What installs a language's compiler and run time in Debian and Ubuntu."""
SECONDS = 600.0  # of wall time for a question to g++, which needs less than one of CPU time: only a hang takes longer
_SYSTEM_PATH = "/usr/bin:/bin"
_LOADERS = tuple(path for path in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1") if Path(path).exists())
_USUAL_HEADERS = ("/usr/include", "/usr/local/include")
_STARTED = ("cc1plus", "collect2", "as", "ld", "ld.gold")
"""What g++ starts. The last one need not be there."""
HEADERS = {"boost/any.hpp": "libboost-dev", "openssl/md5.h": "libssl-dev"}
"""Headers that problems in C++ include and that don't come with g++, each with its package."""
_LIBRARIES = {"openssl/md5.h": ("libcrypto.a", "libssl-dev (Fedora: openssl-static) for its libcrypto.a")}
"""What programs with such a header are linked with, and what installs it: some systems have it in another package."""
MESSAGES = ("-fno-diagnostics-show-caret", "-fdiagnostics-color=never", "-w")
"""How g++ says what it refuses: a line for each error. Versions from 4.9 on know these flags."""
MIN_JDK = 17
JUDGED_AS = {JAVA: 9, CPP: 8}
"""Stands in keys: raise a language's where its programs get other verdicts than before."""
LOCALES = "/usr/lib/locale"
"""Without it a JVM writes and reads names of files in ASCII only, and finds no class with a letter beyond; and a C++
program can't take the locale that the environment names."""


class Toolchain(NamedTuple):
    """A compiler with its run time.

    `program` is g++ or java; `flags` go to the compiler; `identity` stands in keys: another one, another verdict.
    """

    language: str
    program: str
    flags: tuple[str, ...]
    identity: str
    readable: tuple[str, ...]  # files and folders that it reads
    executable: tuple[str, ...]  # files that it executes
    path: str = _SYSTEM_PATH  # on which it finds programs
    headers: str = ""  # C++: another value, other headers of the system
    listable: tuple[str, ...] = ()  # folders that gold lists, though it reads no file that stands in them


def toolchain(language: str, flags: str) -> Toolchain:
    """Return the compiler and run time of a compiled language. `flags`: for g++, `Sandbox.cpp_flags`; Java has none.

    Raises:
        MissingInput: they are missing or too old; the message names the package.
        UsageError: g++ doesn't know the standard of C++.
        RaysweepError: g++ hangs.
    """
    if language == JAVA:
        return _java(_jdk_home())
    return _cpp(shutil.which("g++"), flags, tuple(missing_headers()))


def missing_headers() -> dict[str, str]:
    """Return the headers that programs can't use here, each with the package of what is missing."""
    found = shutil.which("g++")
    compiler = str(Path(found).resolve()) if found else ""
    folders = _header_folders(compiler) if found else ()
    missing = {
        name: package for name, package in HEADERS.items() if not any(Path(one, name).exists() for one in folders)
    }
    for name, (library, package) in _LIBRARIES.items():
        if name not in missing and not _file_of_library(compiler, library):
            missing[name] = package
    return missing


def _jdk_home() -> str | None:
    named = os.environ.get("JAVA_HOME")
    compiler = f"{named}/bin/javac" if named else shutil.which("javac")
    if named and not os.access(f"{named}/bin/javac", os.X_OK):
        raise MissingInput(
            f"JAVA_HOME is {named}, which holds no JDK (bin/javac), which programs in Java need; set it "
            f"to a JDK's folder, or unset it and install one (Debian, Ubuntu: the package {PACKAGES[JAVA]})"
        )
    return None if compiler is None else str(Path(compiler).resolve().parents[1])


@lru_cache
def _java(home: str | None) -> Toolchain:
    if home is None:
        raise MissingInput(_missing(JAVA, "JDK (javac)"))
    release = Path(home, "release")
    found = dict(re.findall(r'^(\w+)="(.*)"$', release.read_text() if release.is_file() else "", re.MULTILINE))
    version = found.get("JAVA_VERSION", "")
    number = int((re.match(r"(?:1\.)?(\d+)", version) or ["", "0"])[1])
    if number < MIN_JDK:
        raise MissingInput(
            f"the JDK in {home} is of version {version or 'unknown'}, and programs in Java need {MIN_JDK} or newer; "
            f"install one (Debian, Ubuntu: the package {PACKAGES[JAVA]}), or set JAVA_HOME to another's folder"
        )
    java = f"{home}/bin/java"
    runtime = f"{found.get('IMPLEMENTOR', '')} {found.get('JAVA_RUNTIME_VERSION', version)}".strip()
    links = [path for part in ("conf", "lib") for path in Path(home, part).rglob("*") if path.is_symlink()]
    linked = sorted({str(link.resolve().parent) for link in links})  # Debian keeps a JDK's configuration in /etc
    in_etc = [folder for folder in linked if folder.startswith("/etc/")]
    readable = _outermost([home, *in_etc, *_library_folders(), LOCALES])
    return Toolchain(JAVA, java, (), f"JDK {runtime}, {JUDGED_AS[JAVA]}", readable, (java, *_LOADERS))


@lru_cache
def _cpp(compiler: str | None, flags: str, absent: tuple[str, ...]) -> Toolchain:
    if compiler is None:
        raise MissingInput(_missing(CPP, "g++"))
    compiler = str(Path(compiler).resolve())
    reason = _refusal(compiler, flags)
    if reason and not _refusal(compiler, ""):
        raise UsageError(f"g++ refuses {flags} (execution.cpp_standard): {reason}")
    if reason:
        raise MissingInput(
            f"on this machine g++ makes no static program, as programs in C++ need it: {reason}; install "
            f"its libraries for static linking (Debian, Ubuntu: the package {PACKAGES[CPP]})"
        )
    version = _ask(compiler, "-dumpfullversion").stdout.strip()
    words = re.search(r" \(.*\)", (_ask(compiler, "--version").stdout.splitlines() or [""])[0])
    build = words[0].replace(",", "") if words else ""  # who built it: another one may have other flags as defaults
    machine = _ask(compiler, "-dumpmachine").stdout.strip()
    parts = {}  # files by path, which may be a link to the file
    for name in _STARTED:
        said = _ask(compiler, f"-print-prog-name={name}").stdout.strip()
        if path := shutil.which(said) if said else None:
            parts[path] = str(Path(path).resolve())
    files = list(dict.fromkeys([compiler, *parts.values()]))
    own = Path(_ask(compiler, "-print-libgcc-file-name").stdout.strip()).resolve().parents[2]
    archives = [_file_of_library(compiler, name) for name in ("libc.a", "libstdc++.a", "crt1.o")]
    said = "".join(_ask(_LOADERS[0], "--list", file).stdout for file in files) if _LOADERS else ""
    linked = [line.partition(" => ")[2].partition(" (")[0].strip() for line in said.splitlines()]
    shared = sorted({str(Path(word).resolve()) for word in linked if word.startswith("/")})
    libraries = [str(own), *(str(Path(path).parent) for path in archives if path), *_library_folders(), *shared]
    plugins = [str(Path(file).parent) for file in files if Path(file).name == "collect2"]
    readable = _outermost([*_header_folders(compiler), *libraries, *plugins])
    libc = (os.confstr("CS_GNU_LIBC_VERSION") or "").strip()
    standard = " without ".join([libc, *absent])
    identity = f"g++ {version}{build} {machine}, {standard}, {flags}, {JUDGED_AS[CPP]}"
    # the system's folders stand behind those of its programs
    path = ":".join(dict.fromkeys([*(str(Path(part).parent) for part in parts), *_SYSTEM_PATH.split(":")]))
    headers = state_of_headers(_header_folders(compiler))
    said = _ask(compiler, "-print-search-dirs").stdout.partition("libraries: =")[2].strip()
    listable = tuple(dict.fromkeys(str(Path(folder).resolve()) for folder in said.split(":") if folder))
    return Toolchain(
        CPP, compiler, tuple(flags.split()), identity, readable, (*files, *_LOADERS), path, headers, listable
    )


def _refusal(compiler: str, flags: str) -> str:
    """Return why g++ makes no static program with flags, in its own words; "" if it makes one."""
    with tempfile.TemporaryDirectory(prefix="raysweep-") as folder:
        source = Path(folder, "try.cpp")
        source.write_text("int main() {}\n")
        tried = _ask(compiler, *flags.split(), *MESSAGES, "-static", "-o", f"{folder}/try", str(source))
        lines = tried.stderr.strip().splitlines() or ["it says no reason"]
        first = next((line for line in lines if "error: " in line and not line.startswith("collect2")), lines[0])
        return first.replace(f"{folder}/", "") if tried.returncode else ""


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
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
            f"g++ first on the path (Debian, Ubuntu: the package {PACKAGES[CPP]})"
        ) from None


@lru_cache
def _header_folders(compiler: str) -> tuple[str, ...]:
    said = _ask(compiler, "-v", "-E", "-x", "c++", os.devnull).stderr
    _, _, listed = said.partition("search starts here:")
    lines = listed.partition("End of search list")[0].splitlines()
    folders = [str(Path(line.strip()).resolve()) for line in lines if line.strip().startswith("/")]
    return tuple(dict.fromkeys(folders)) or _USUAL_HEADERS


def state_of_headers(folders: Iterable[str]) -> str:
    """Return a digest of the headers in folders, two levels deep: what a package has replaced, or somebody edited."""
    known = []
    for folder in folders:
        for place in [folder, *(entry.path for entry in _entries(folder) if entry.is_dir())]:
            states = ((entry.path, entry.stat()) for entry in _entries(place) if entry.is_file())
            known += [(path, state.st_size, state.st_mtime_ns) for path, state in states]
    return sha256(repr(sorted(known)).encode()).hexdigest()


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:
        return list(entries)
    return []


@lru_cache
def _file_of_library(compiler: str, name: str) -> str:
    path = _ask(compiler, f"-print-file-name={name}").stdout.strip()
    return str(Path(path).resolve()) if Path(path).is_absolute() else ""


def _missing(language: str, what: str) -> str:
    return (
        f"this machine has no {what}, which programs in {LANGUAGE_WORDS[language]} need; install it "
        f"(Debian, Ubuntu: the package {PACKAGES[language]})"
    )


def _library_folders() -> list[str]:
    folders = [path for top in ("/lib", "/usr/lib", "/lib64", "/usr/lib64") for path in Path(top).glob("*-linux-gnu")]
    return sorted({str(path.resolve()) for path in [*folders, *map(Path, ("/lib64", "/usr/lib64"))] if path.is_dir()})


def _outermost(folders: list[str]) -> tuple[str, ...]:
    kept = [one for one in folders if not any(one != other and one.startswith(f"{other}/") for other in folders)]
    return (*dict.fromkeys(kept), "/etc/ld.so.cache", "/usr/share/zoneinfo")
