"""Finds the compilers and run times of Java and C++ on this machine, and names them for keys of verdicts.

A `Toolchain` is plain data: the slot finds it in raysweep's own process and sends it to the process that compiles and
runs programs. Nothing is started for Java; g++ is asked for its version, its files and whether it knows the
standard (gxx.py).
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from raysweep.errors import MissingInput, UsageError
from raysweep.execution.compiled import gxx
from raysweep.execution.compiled.gxx import LOADERS, ask
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

    `flags`: for g++, `Sandbox.cpp_flags`; Java has none.

    Raises:
        MissingInput: they are missing or too old; the message names the package.
        UsageError: g++ doesn't know the standard of C++.
        RaysweepError: g++ hangs.
    """
    if language == JAVA:
        return _java(_jdk_home())
    return _cpp(shutil.which("g++"), flags, tuple(missing_headers()))


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


def missing_headers() -> dict[str, str]:
    """Return the headers that programs can't use here, each with the package of what is missing."""
    found = shutil.which("g++")
    compiler = str(Path(found).resolve()) if found else ""
    folders = gxx.header_folders(compiler) if found else ()
    missing = {
        name: package for name, package in HEADERS.items() if not any(Path(one, name).exists() for one in folders)
    }
    for name, (library, package) in _LIBRARIES.items():
        if name not in missing and not gxx.file_of_library(compiler, library):
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
    return Toolchain(JAVA, java, (), f"JDK {runtime}, {JUDGED_AS}", readable, (java, *_loaders()))


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
    version = ask(compiler, "-dumpfullversion").stdout.strip()
    words = re.search(r" \(.*\)", (ask(compiler, "--version").stdout.splitlines() or [""])[0])
    build = words[0].replace(",", "") if words else ""  # who built it: another one may have other flags as defaults
    machine = ask(compiler, "-dumpmachine").stdout.strip()
    parts = gxx.programs(compiler)
    files = list(dict.fromkeys([compiler, *parts.values()]))
    libraries = [*gxx.library_folders(compiler), *_library_folders(), *gxx.shared_libraries(files)]
    plugins = [str(Path(file).parent) for file in files if Path(file).name == "collect2"]
    readable = _outermost([*gxx.header_folders(compiler), *libraries, *plugins])
    libc = (os.confstr("CS_GNU_LIBC_VERSION") or "").strip()
    standard = " without ".join([libc, *absent])
    identity = f"g++ {version}{build} {machine}, {standard}, {flags}, {JUDGED_AS}"
    path = gxx.search_path([*parts])
    return Toolchain(CPP, compiler, tuple(flags.split()), identity, readable, (*files, *_loaders()), path)


def _refusal(compiler: str, flags: str) -> str:
    """Return why g++ makes no static program with flags, in its own words; "" if it makes one."""
    with tempfile.TemporaryDirectory(prefix="raysweep-") as folder:
        source = Path(folder, "try.cpp")
        source.write_text("int main() {}\n")
        tried = ask(compiler, *flags.split(), *MESSAGES, "-static", "-o", f"{folder}/try", str(source))
        lines = tried.stderr.strip().splitlines() or ["it says no reason"]
        first = next((line for line in lines if "error: " in line and not line.startswith("collect2")), lines[0])
        return first.replace(f"{folder}/", "") if tried.returncode else ""


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


def _loaders() -> list[str]:
    return [path for path in LOADERS if Path(path).exists()]
