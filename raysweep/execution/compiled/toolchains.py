"""Finds the compilers and run times of Java and C++ on this machine, and names them for keys of verdicts.

A `Toolchain` is plain data: the slot finds it in raysweep's own process and sends it to the process that compiles and
runs programs. Nothing is started for Java; g++ is asked for its version, its files and whether it knows the
flags (gxx.py).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from raysweep.errors import MissingInput, UsageError
from raysweep.execution.compiled import gxx
from raysweep.execution.compiled.gxx import LOADERS, ask
from raysweep.execution.compiled.gxx_flags import UnusableFlags, usable_flags
from raysweep.programs import COMPILED, CPP, DEFAULT_SANDBOX, JAVA, LANGUAGE_WORDS

PACKAGES = {JAVA: "default-jdk-headless", CPP: gxx.PACKAGE}
"""What installs a language's compiler and run time in Debian and Ubuntu."""
HEADERS = {"boost/any.hpp": "libboost-dev", "openssl/md5.h": "libssl-dev"}
"""Headers that problems in C++ include and that don't come with g++, each with its package."""
_LIBRARIES = {"openssl/md5.h": ("libcrypto.a", "libssl-dev (Fedora: openssl-static) for its libcrypto.a")}
"""What programs with such a header are linked with, and what installs it: some systems have it in another package."""
MESSAGES = ("-fno-diagnostics-show-caret", "-fdiagnostics-color=never", "-w")
"""How g++ says what it refuses: a line for each error. Versions from 4.9 on know these flags."""
MIN_JDK = 17
JUDGED_AS = 8
"""Stands in keys: raise it where compiled programs get other verdicts than before."""
_OWN_HEADERS = Path(__file__).parent / "cpp"
_OBJECT = (1).to_bytes(2, sys.byteorder)  # the type of an ELF file that is not linked
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
    path: str = gxx.SYSTEM_PATH  # on which it finds programs


def toolchain(language: str, flags: str) -> Toolchain:
    """Return the compiler and run time of a compiled language.

    `flags`: for g++, as a shell reads them, such as ``-O0``; Java has none.

    Raises:
        MissingInput: they are missing or too old; the message names the package.
        UnusableFlags: a flag isn't one of how programs are compiled, g++ doesn't know it, or makes no program with it.
        RaysweepError: g++ hangs.
    """
    if language == JAVA:
        return _java(_jdk_home())
    usable_flags(flags)  # before g++ is started with them
    return _cpp(shutil.which("g++"), flags, tuple(missing_headers(flags)))


def identity(language: str, flags: str) -> str:
    """Return what keys of verdicts name of a language's compiler, "" for Python; raise the errors of `toolchain`."""
    return toolchain(language, flags).identity if language in COMPILED else ""


def toolchain_key(language: str, flags: str = DEFAULT_SANDBOX.cpp_flags) -> dict[str, str]:
    """Return what specs of results name of a language's compiler; nothing for Python."""
    chain = identity(language, flags)
    return {"toolchain": chain} if chain else {}


def identities(languages: Iterable[str], flags: str) -> tuple[tuple[str, str], ...]:
    found = {}
    for language in set(languages) & set(COMPILED):
        with suppress(UsageError):
            found[language] = identity(language, flags)
    return tuple(sorted(found.items()))


def missing_headers(flags: str = "") -> dict[str, str]:
    """Return the headers that programs can't use here, each with the package of what is missing. `flags`: of g++."""
    missing = {name: package for name, package in HEADERS.items() if not _header_exists(name, flags)}
    for name, (library, package) in _LIBRARIES.items():
        if name not in missing and not _library_exists(library, flags):
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
    readable = _outermost([home, *_linked_folders(home), *_library_folders(), LOCALES])
    return Toolchain(JAVA, java, (), f"JDK {runtime}, {JUDGED_AS}", readable, (java, *_loaders()))


@lru_cache
def _cpp(compiler: str | None, flags: str, absent: tuple[str, ...]) -> Toolchain:
    if compiler is None:
        raise MissingInput(_missing(CPP, "g++"))
    compiler = str(Path(compiler).resolve())
    given = _tried_flags(compiler, flags)
    version = ask(compiler, "-dumpfullversion").stdout.strip()
    machine = ask(compiler, "-dumpmachine").stdout.strip()
    parts = gxx.programs(compiler, given)
    files = list(dict.fromkeys([compiler, *parts.values()]))
    libraries = [*gxx.library_folders(compiler, given), *_library_folders(), *gxx.shared_libraries(files)]
    plugins = [str(Path(file).parent) for file in files if Path(file).name == "collect2"]
    readable = _outermost([*gxx.header_folders(compiler, given), *libraries, *plugins])
    libc = (os.confstr("CS_GNU_LIBC_VERSION") or "").strip()
    standard = " without ".join([libc, *absent])
    words = " ".join([*given, *_native(compiler, given)])
    identity = f"g++ {version}{_build(compiler)} {machine}, {standard}, {words}, {JUDGED_AS}"
    path = gxx.search_path([*parts])
    return Toolchain(CPP, compiler, given, identity, readable, (*files, *_loaders()), path)


def _build(compiler: str) -> str:
    """Return who built g++, such as " (Debian 12.2.0-14)": builds of one version may have other flags as defaults."""
    found = re.search(r" \(.*\)", (ask(compiler, "--version").stdout.splitlines() or [""])[0])
    return found[0].replace(",", "") if found else ""


def _native(compiler: str, flags: Sequence[str]) -> list[str]:
    if not any(flag.endswith("=native") for flag in flags):
        return []
    said = ask(compiler, *flags, "-###", "-x", "c++", "-E", os.devnull).stderr
    line = next((line for line in said.splitlines() if "cc1plus" in line), "")
    return [word for word in shlex.split(line) if word.startswith("-m") and word not in flags]


def _tried_flags(compiler: str, flags: str) -> tuple[str, ...]:
    """Return g++'s flags one by one; raise UnusableFlags, or MissingInput if g++ makes no static program at all.

    Assertions hold whatever the flags say: with ``-DNDEBUG`` all programs would pass.
    """
    given = usable_flags(flags)
    given += ("-UNDEBUG",) if "NDEBUG" in flags else ()
    reason = _refusal(compiler, given)
    if not reason and flags != DEFAULT_SANDBOX.cpp_flags:  # with these, a known one isn't enough: -std=c++98
        reason = _refusal(compiler, given, '#include "raysweep_wire.hpp"\n')
    if reason and given and not _refusal(compiler, ()):
        linked = "; raysweep links programs statically" if "-static" in reason or "-fsanitize" in flags else ""
        raise UnusableFlags(f"g++ refuses the flags {flags!r} (execution.cpp_flags): {reason}{linked}")
    if reason:
        raise MissingInput(
            f"on this machine g++ makes no static program, as programs in C++ need it: {reason}; install "
            f"its libraries for static linking (Debian, Ubuntu: the package {PACKAGES[CPP]})"
        )
    return given


def _refusal(compiler: str, flags: tuple[str, ...], included: str = "") -> str:
    with tempfile.TemporaryDirectory(prefix="raysweep-") as folder:
        source, made = Path(folder, "try.cpp"), Path(folder, "try")
        source.write_text(f"{included}int main() {{}}\n")
        tried = ask(compiler, *flags, *MESSAGES, "-static", "-I", str(_OWN_HEADERS), "-o", str(made), str(source))
        if tried.returncode:
            lines = tried.stderr.strip().splitlines() or ["it says no reason"]
            first = next((line for line in lines if "error: " in line and not line.startswith("collect2")), lines[0])
            return first.replace(f"{folder}/", "").replace(f"{_OWN_HEADERS}/", "")
        header = made.read_bytes()[:18] if made.is_file() else b""
    return "" if header[:4] == b"\x7fELF" and header[16:18] != _OBJECT else "what it makes with them is no program"


def _missing(language: str, what: str) -> str:
    return (
        f"this machine has no {what}, which programs in {LANGUAGE_WORDS[language]} need; install it "
        f"(Debian, Ubuntu: the package {PACKAGES[language]})"
    )


def _asked_flags(flags: str) -> tuple[str, ...]:
    try:
        return usable_flags(flags)
    except UnusableFlags:
        return ()


def _header_exists(name: str, flags: str) -> bool:
    compiler = shutil.which("g++")
    folders = gxx.header_folders(str(Path(compiler).resolve()), _asked_flags(flags)) if compiler else ()
    return any(Path(folder, name).exists() for folder in folders)


def _library_exists(name: str, flags: str) -> bool:
    compiler = shutil.which("g++")
    return compiler is not None and bool(gxx.file_of_library(str(Path(compiler).resolve()), name, _asked_flags(flags)))


def _linked_folders(home: str) -> list[str]:
    """Return the folders outside the JDK's that links in it lead to: Debian keeps its configuration in /etc."""
    links = [path for part in ("conf", "lib") for path in Path(home, part).rglob("*") if path.is_symlink()]
    folders = [str(link.resolve().parent) for link in links]
    return sorted({folder for folder in folders if folder.startswith("/etc/")})


def _library_folders() -> list[str]:
    folders = [path for top in ("/lib", "/usr/lib", "/lib64", "/usr/lib64") for path in Path(top).glob("*-linux-gnu")]
    return sorted({str(path.resolve()) for path in [*folders, *map(Path, ("/lib64", "/usr/lib64"))] if path.is_dir()})


def _outermost(folders: list[str]) -> tuple[str, ...]:
    kept = [one for one in folders if not any(one != other and one.startswith(f"{other}/") for other in folders)]
    return (*dict.fromkeys(kept), "/etc/ld.so.cache", "/usr/share/zoneinfo")


def _loaders() -> list[str]:
    return [path for path in LOADERS if Path(path).exists()]
