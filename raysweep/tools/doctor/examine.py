"""Examines this machine: isolation, accelerators, language resources, versions, and all that can stop a run.

`examine` lists the checks, each of which measures one subject and judges it. Not covered: whether a model hub can be
reached; how fast anything is.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep import machine
from raysweep.errors import RaysweepError
from raysweep.tools.doctor import machine_checks, part_checks
from raysweep.tools.doctor.check import Check, State

if TYPE_CHECKING:
    from raysweep.config.schema import SweepConfig


def examine(
    storage: str | None = None, address: str | None = None, config: SweepConfig | None = None
) -> Iterator[Check]:
    """Yield the checks of this machine, a store and a Ray, each as soon as it is known; all take some seconds.

    A check that breaks is an error among the others: people run this where something is broken. `storage`: None:
    $RAYSWEEP_STORAGE, else ./raysweep-store. `address`: None: RAY_ADDRESS, else no Ray is looked for. `config`: a
    sweep's, whose environments are checked.
    """
    listed: dict[str, Callable[[], Check]] = {
        "versions": lambda: machine_checks.versions(machine_checks.installed(), machine_checks.required()),
        "memory": lambda: machine_checks.memory(machine.memory()),
        "accelerators": lambda: machine_checks.accelerators(machine.accelerators()),
        "isolation": machine_checks.isolation,
        "compilers": part_checks.compilers,
        "language": part_checks.language,
        "Ray": lambda: part_checks.ray(address or os.environ.get("RAY_ADDRESS") or None, storage),
        "vLLM": part_checks.vllm,
        "openai": part_checks.openai,
        "bitsandbytes": part_checks.quantizer,
        "pylint": part_checks.pylint,
        "storage": lambda: machine_checks.store(storage),
        "temp folder": lambda: machine_checks.temp_folder(Path(tempfile.gettempdir())),
    }
    for name, check in listed.items():
        yield _done(name, check)
    for problems in config.evaluation.problems if config else ():
        if config and config.problem_set(problems).environment:
            yield _done("environment", partial(part_checks.environment, config, problems))


def _done(name: str, check: Callable[[], Check]) -> Check:
    """Return a check's result, or how it broke, without passwords, which people might paste into a bug report."""
    try:
        done = check()
    except RaysweepError as error:
        problem, _, advice = str(error).rpartition("; ")
        done = Check(name, State.ERROR, problem or advice, advice if problem else "repair the named part")
    except Exception as error:
        problem = f"it could not be checked: {type(error).__name__}: {error}"
        done = Check(name, State.ERROR, problem, "repair the named part, or report the line")
    return replace(done, found=re.sub(r"://[^/@\s]+@", "://***@", done.found))
