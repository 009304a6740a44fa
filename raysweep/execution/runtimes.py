"""Names what runs programs, for keys of verdicts: the compiler of a language, or an environment's Python and packages.

Raysweep's own Python has no name but its version.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from contextlib import suppress

from raysweep.errors import UsageError
from raysweep.execution.compiled.toolchains import toolchain
from raysweep.execution.environments import environment_at
from raysweep.programs import COMPILED, DEFAULT_SANDBOX, PYTHON, Sandbox


def identity(runtime: str, setting: str) -> str:
    """Return what keys of verdicts name of a runtime (`Program.runtime`), "" for raysweep's own Python.

    `setting`: `Sandbox.setting_of` the runtime.

    Raises:
        MissingInput: the compiler or the environment's Python is missing or too old.
        UsageError: there is no such environment, or g++ doesn't know the standard of C++.
    """
    if runtime in COMPILED:
        return toolchain(runtime, setting).identity
    if runtime == PYTHON:
        return ""
    if not setting:
        raise UsageError(
            f"a program is for the environment {runtime!r}, which nothing names; give its Python: "
            f"`execution.environments: {{{runtime}: PATH}}`"
        )
    return environment_at(setting).identity


def runtime_key(runtime: str, sandbox: Sandbox = DEFAULT_SANDBOX) -> dict[str, str]:
    """Return what specs of results name of a runtime: the Python, which is an environment's own, and `identity`."""
    setting = sandbox.setting_of(runtime)
    chain = identity(runtime, setting)
    in_environment = runtime != PYTHON and runtime not in COMPILED
    python = environment_at(setting).version if in_environment else platform.python_version()
    return {"python": python, **({"toolchain": chain} if chain else {})}


def identities(runtimes: Iterable[str], sandbox: Sandbox) -> tuple[tuple[str, str], ...]:
    """Return the runtimes that this machine has, each with its identity, for `Sandbox.compilers`."""
    found = {}
    for runtime in set(runtimes) - {PYTHON}:
        with suppress(UsageError):
            found[runtime] = identity(runtime, sandbox.setting_of(runtime))
    return tuple(sorted(found.items()))
