"""Which flags of g++ `execution.cpp_flags` may have: those that say how a program is compiled and linked.

g++ is started with them before any program, outside of all isolation. So no flag may name a file that g++ writes, a
program that it starts or a plug-in that it loads, or change what it makes; and the folders that it reads are named.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from raysweep.errors import UsageError

_FOLDERS = ("-I", "-L", "-isystem", "-idirafter", "-iquote")
_VALUES = ("-D", "-U", "-l", "--param")
_INCLUDES = ("-include", "-imacros")
_WITH_VALUE = (*_FOLDERS, *_VALUES, *_INCLUDES)
"""Flags whose value may be the next argument."""
_KNOWN = re.compile(
    r"-(O|std=|-std=|-param=|f|m|W|w$|g|ansi$|pedantic|pthread$|pipe$|s$|no-pie$|static)|" + "|".join(_WITH_VALUE)
)
_HARMFUL = re.compile(
    r"-f(plugin|dump-|profile-|auto-profile|branch-probabilities|test-coverage|syntax-only|diagnostics-|"
    r"compare-debug|save-optimization-record|stack-usage|callgraph-info|module|opt-info|time-|self-test|deps|"
    r"preprocessed|directives-only|working-directory|dbg-cnt|disable-|enable-|wpa|ltrans|resolution|linker-output|"
    r"pch-|mem-report)|-gsplit-dwarf|-mdump|"
    r"-W[alp],.*(-o|-M|-r$|-r,|-shared|-pie|-plugin|-T|-script|-version|-out|-map|-trace|-dependency)"
)
_KINDS = "-O, -std=, -D, -U, -f, -m, -W, -g, -I, -L, -l, -isystem, -include, -pthread"


class UnusableFlags(UsageError):
    """Flags with which g++ makes no program. The message names the setting."""


def usable_flags(flags: str) -> tuple[str, ...]:
    """Return flags, read as by a shell; start nothing, and raise UnusableFlags for one that g++ must not get."""
    try:
        given = tuple(shlex.split(flags))
    except ValueError as error:
        why = f"can't be read as a shell reads them: {str(error).lower()}"
        raise UnusableFlags(f"the flags {flags!r} (execution.cpp_flags) {why}") from None
    rest = list(given)
    while rest:
        word = rest.pop(0)
        flag = next((one for one in _WITH_VALUE if word.startswith(one) and not word.startswith("-include-")), "")
        if flag and word == flag and not rest:
            raise UnusableFlags(_about(word, "lacks its value, which stands behind it"))
        value = rest.pop(0) if word == flag else word.removeprefix(flag)
        problem = _problem(word, flag, value)
        if problem:
            raise UnusableFlags(_about(word if word.endswith(value) else f"{word} {value}", problem))
    return given


def _problem(word: str, flag: str, value: str) -> str:
    if not word.startswith("-") or word in ("-", "--"):
        hint = f"; did you mean -{word}?" if re.fullmatch(r"[OWfgms][\w=+-]*", word) else ""
        return f"isn't a flag, and g++ is given no other files{hint}"
    if flag in _FOLDERS:
        if not Path(value).is_absolute():
            return "names a relative folder; name it by its absolute path, since g++ is started in several folders"
        return "" if Path(value).is_dir() else "names a folder that this machine doesn't have"
    if flag in _INCLUDES:
        return "names a file by its path; name the folder with -I, and the file in it" if _is_path(value) else ""
    if flag in _VALUES:
        return ""
    if not _KNOWN.match(word) or _HARMFUL.match(word):
        return f"doesn't say how a program is compiled, or uses other files; take it out (these may stay: {_KINDS})"
    return "names a file or folder, which only -I, -L and -isystem may" if re.search(r"[/@]", word) else ""


def _is_path(name: str) -> bool:
    return Path(name).is_absolute() or ".." in Path(name).parts


def _about(flag: str, problem: str) -> str:
    return f"execution.cpp_flags: {flag!r} {problem}"
