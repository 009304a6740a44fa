"""Finds the Python environments beside raysweep's own in which programs run: their Python, packages and folders.

An environment is asked once, by its own Python, which imports no package for that. Nothing is installed in it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from raysweep.errors import MissingInput, UsageError

MIN_PYTHON = (3, 10)
"""The oldest Python in which a slot's processes run."""
_ASK_SECONDS = 120  # of wall time: an environment of seventy packages on a network disk takes seconds
_ASK = """
import json, platform, sys, sysconfig
from importlib.metadata import distributions
names = ("site-packages", "dist-packages")
paths = sysconfig.get_paths()
others = [one for one in sys.path if one.startswith("/") and one.rstrip("/").rpartition("/")[2] in names]
packages = {one.metadata["Name"]: one.version for one in distributions() if one.metadata["Name"]}
print(json.dumps({
    "implementation": platform.python_implementation(), "version": platform.python_version(), "packages": packages,
    "folders": list(dict.fromkeys([paths["purelib"], paths["platlib"], *others])),
    "prefixes": list(dict.fromkeys([sys.prefix, sys.base_prefix])),
}))
"""
_ASK_MODULES = """
import json, sys
from importlib.util import find_spec
def lacks(name):
    try:
        return find_spec(name) is None
    except ValueError:  # of a module that is imported and has no spec
        return False
print(json.dumps([name for name in json.loads(sys.argv[1]) if lacks(name)]))
"""


class PythonEnvironment(NamedTuple):
    """An environment: its Python, and what keys of verdicts name of it.

    `packages`: versions by the names of distributions. `folders`: of installed packages. `prefixes`: the environment's
    folder, and that of the Python on which it is based.
    """

    python: str
    version: str
    packages: Mapping[str, str]
    folders: tuple[str, ...]
    prefixes: tuple[str, ...]

    @property
    def identity(self) -> str:
        """The version of Python, and a hash of the packages' versions: another one, another verdict."""
        listed = "\n".join(f"{name}=={version}" for name, version in sorted(self.packages.items()))
        digest = sha256(listed.encode()).hexdigest()[:12]
        return f"Python {self.version} with {len(self.packages)} packages (SHA-256 {digest})"


def path_of_python(text: str) -> str:
    """Return the absolute path of a Python that is here, through which link it may be: a venv's is one.

    A name alone is that of a command.
    """
    file = Path(text).expanduser()
    return str(file.absolute()) if file.exists() else shutil.which(text) or text


@lru_cache(maxsize=64)
def environment_at(python: str) -> PythonEnvironment:
    """Return the environment of a Python; it is asked once in each process.

    Raises:
        MissingInput: there is no such file on this machine.
        UsageError: it is no CPython, or older than `MIN_PYTHON`.
    """
    path = Path(python)
    if not path.exists():
        raise MissingInput(
            f"there is no {path.absolute()} on this machine; make the environment (`python3.10 -m venv FOLDER`, then "
            "its packages), on every node at the same path, or name another Python"
        )
    if path.is_dir():
        raise UsageError(f"{python} is a folder; name the Python in it: {path / 'bin' / 'python'}")
    found = _asked(python, _ASK)
    if found["implementation"] != "CPython" or _numbers(found["version"]) < MIN_PYTHON:
        wanted = ".".join(map(str, MIN_PYTHON))
        raise UsageError(
            f"{python} is {found['implementation']} {found['version']}; programs can run in CPython {wanted} or newer: "
            "name such a Python"
        )
    folders, prefixes = tuple(found["folders"]), tuple(found["prefixes"])
    return PythonEnvironment(python, found["version"], found["packages"], folders, prefixes)


def missing_modules(python: str, modules: Iterable[str]) -> frozenset[str]:
    """Return those modules, of packages or of Python itself, that an environment can't import; none is imported.

    `modules`: without those within them: `os`, not `os.path`.
    """
    return _missing(python, tuple(sorted(modules)))


@lru_cache(maxsize=64)
def _missing(python: str, roots: tuple[str, ...]) -> frozenset[str]:
    return frozenset(_asked(python, _ASK_MODULES, json.dumps(roots)))


def _asked(python: str, code: str, *arguments: str) -> Any:
    try:
        done = subprocess.run(
            [python, "-I", "-c", code, *arguments], capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
        )
        return json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        said = getattr(error, "stderr", "") or (error.strerror if isinstance(error, OSError) else "")
        why = str(said).strip().rpartition("\n")[2] or f"it doesn't answer as a Python does ({type(error).__name__})"
        raise UsageError(
            f"{python} can't be asked for its packages: {why}; name the Python of an environment (bin/python in it)"
        ) from error


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
