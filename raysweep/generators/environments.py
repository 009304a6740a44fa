"""Finds the Python environment that a generator runs in, and the versions of its packages.

Most generators run in raysweep's own. One whose packages don't go with the others, such as vLLM, has an environment
beside it, which has raysweep and the same Ray too: Ray starts its processes there.
"""

from __future__ import annotations

import importlib.util
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from raysweep.errors import MissingInput, UsageError
from raysweep.generators.base import GENERATORS
from raysweep.machine import VERSION, versions
from raysweep.records import Spec

PYTHON = "python"
"""The argument of such a generator that names the environment's Python."""
ASK = """
import json, platform, sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
found = {"Python": platform.python_version()}
packages, modules = json.loads(sys.argv[1])
for name in packages:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
for name in modules:  # without importing their packages, which may take long
    package, *path = name.split(".")
    folders = (find_spec(package) or object).__dict__.get("submodule_search_locations") or ()
    if any(Path(folder, *path).with_suffix(".py").exists() for folder in folders):
        found[name] = "here"
print(json.dumps(found))
"""
ASK_SECONDS = 60
SHARED = ("ray", "raysweep")
"""Packages that both environments must have in the same version, since their processes talk to each other."""


@dataclass(frozen=True)
class Environment:
    """An environment beside raysweep's own, and the versions of its packages; `Python` is among them."""

    python: Path
    versions: Mapping[str, str]


def environment_of(generator: Spec) -> Environment | None:
    """Return the environment that a generator runs in; None: this process's own.

    Raises:
        MissingInput: there is none yet.
        UsageError: it lacks a package or a module of it, or has another Python, Ray or raysweep than this one.
    """
    cls, python = GENERATORS.get(generator.name), python_of(generator)
    if python is None:
        return None
    if not python.exists():
        raise MissingInput(
            f"generator {generator.name} needs an environment of its own, and there is no {python}; run `make "
            f"{cls.environment}` in a checkout whose environment is .venv, or name the Python of another one that has "
            f"raysweep, the same ray and {cls.environment}: {{name: {generator.name}, python: ...}}"
        )
    installed = _versions_in(python, cls.packages, tuple(cls.modules))
    again = f"run `make {cls.environment}` again{f', or name another {PYTHON}' * (PYTHON in generator.args)}"
    here = {"Python": platform.python_version(), "raysweep": VERSION, **versions(("ray",))}
    for name, version in here.items():
        theirs = installed.get(name, "")
        if theirs != version and (name != "Python" or _minor(theirs) != _minor(version)):
            has = f"{name} {theirs}" if theirs else f"no {name}"
            raise UsageError(f"{python} has {has}, but raysweep runs with {name} {version}; {again}")
    if not any(name.startswith(cls.environment) for name in installed if name not in cls.modules):
        raise UsageError(f"{python} has no {cls.environment}; {again}")
    for module, why in cls.modules.items():
        if module not in installed:
            raise UsageError(f"{python} has no {module}: {why}")
    return Environment(python, {name: its for name, its in installed.items() if name not in cls.modules})


def python_of(generator: Spec) -> Path | None:
    """Return the Python that a generator runs in, which may not exist; None: this process's own.

    It is the one that the arguments name. Otherwise it is our own if that has the package, or else the one in
    ``.venv-NAME`` beside our environment.
    """
    name, python = GENERATORS.get(generator.name).environment, generator.args.get(PYTHON)
    if name and python is not None:
        return Path(python).expanduser().absolute()
    if not name or importlib.util.find_spec(name) is not None:
        return None
    return Path(sys.prefix).with_name(f".venv-{name}") / "bin" / "python"


def generator_key(generator: Spec, dtype: str, batch_tokens: int | None) -> dict[str, Any]:
    """Return a generator's name, arguments, fingerprint and versions; raise UsageError if it can't be used here."""
    cls = GENERATORS.get(generator.name)
    fingerprint: dict[str, Any] = Spec(generator.name, cls.keyed(generator.args)).as_dict()
    if cls.packages:
        there = environment_of(generator)
        has = there.versions if there else versions(cls.packages)
        fingerprint["versions"] = {name: version for name, version in has.items() if name in cls.packages}
    return {**fingerprint, **cls.fingerprint(dtype, batch_tokens), **GENERATORS.plugin_spec(generator.name)}


@cache
def _versions_in(python: Path, packages: tuple[str, ...], modules: tuple[str, ...]) -> Mapping[str, str]:
    asked = json.dumps([[*packages, *SHARED], modules])
    try:
        done = subprocess.run(
            [python, "-c", ASK, asked], capture_output=True, text=True, timeout=ASK_SECONDS, check=True
        )
        return dict(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise UsageError(f"{python} can't be asked for its packages: {error}; make the environment again") from error


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
