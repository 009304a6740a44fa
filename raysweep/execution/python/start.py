"""Starts a slot's process: isolation, imports that programs share, guards; then the zygote answers requests.

slot.py runs it in a clean interpreter as ``python -s -P -S -B -c ... FOLDER SETTINGS``. It becomes two processes: the
zygote (zygote.py) inside the namespaces, and outside of them the keeper, which kills the zygote when the slot's owner
is gone and removes the folder.
"""

from __future__ import annotations

import _sitebuiltins
import builtins
import gc
import importlib
import importlib.util
import json
import os
import random
import signal
import sys
import types
import warnings
from contextlib import suppress
from typing import Any, NoReturn

from raysweep.execution.isolation import kernel
from raysweep.execution.isolation.box import Box
from raysweep.execution.isolation.cleanup import remove_folder
from raysweep.execution.isolation.layers import Layers, enter_namespaces, limit_resources, prepare_filters, verify
from raysweep.execution.isolation.watch import ExitWaiter
from raysweep.execution.messages import write_frame
from raysweep.execution.python.zygote import ANSWERS, REQUESTS, Harness, Zygote

RULES = 12  # descriptor of Landlock's rules
OWNER_CHECK_SECONDS = 1.0  # between two checks of whether the owner still exists
PRELOADED = """
    math cmath re typing collections itertools functools heapq bisect string operator copy fractions numbers
    datetime random json decimal statistics time io textwrap enum contextlib abc ctypes
"""
PACKAGE = "raysweep.execution.python"
_HARNESS_MODULES = ("rewriting", "harmless", "screen", "prepared_tests", "decoys", "comparisons", "child")


def main() -> None:
    """Run the process of the slot whose folder is the first argument; the second has its settings as JSON."""
    folder, settings = sys.argv[1], json.loads(sys.argv[2])
    owner = os.getppid()
    layers = Layers(box=f"{folder}/box")
    try:
        mount = enter_namespaces(layers, folder, settings["without"])
    except OSError as error:
        write_frame(1, {"no_namespaces": str(error)})
        os._exit(0)
    zygote = os.fork()
    if zygote:
        _run_keeper(zygote, owner, folder)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    _move_descriptors()
    try:
        if mount is not None:
            mount(settings["packages"])
    except OSError as error:
        write_frame(ANSWERS, {"no_namespaces": str(error)})
        os._exit(0)
    with suppress(EOFError, BrokenPipeError):
        _set_up(layers, folder, settings).serve()
    os._exit(0)


def _set_up(layers: Layers, folder: str, settings: dict[str, Any]) -> Zygote:
    """Set up isolation, imports and guards, send level and missing layers to the slot, and return the zygote."""
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    limit_resources()
    os.makedirs(layers.box, exist_ok=True)  # noqa: PTH103
    prepare_filters(layers, folder, settings["packages"], settings["without"])
    if layers.rules is not None:
        os.dup2(layers.rules, RULES)
        os.close(layers.rules)
        layers.rules = RULES
    box = Box(layers)
    verify(layers, os.path.realpath(sys.executable))
    for name in PRELOADED.split():
        importlib.import_module(name)
    random.seed(0)
    for name in ("exit", "quit"):  # which `site` would define
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    warnings.simplefilter("ignore", SyntaxWarning)
    modules = {name: _load_with_own_builtins(f"{PACKAGE}.{name}") for name in _HARNESS_MODULES}
    guards = _load_with_own_builtins(f"{PACKAGE}.guards")
    harness = Harness(modules["prepared_tests"].prepare, modules["child"], guards.set_up())
    zygote = Zygote(layers, box, harness)
    _hide_raysweep(settings["packages"])
    gc.collect()
    gc.disable()
    write_frame(ANSWERS, {"level": layers.level, "missing": layers.missing})
    return zygote


def _run_keeper(zygote: int, owner: int, folder: str) -> NoReturn:
    """Wait until the zygote ends, or kill it when the owner is gone; then remove the folder and end this process."""
    waiter = ExitWaiter(zygote)
    for pipe in (0, 1):
        os.close(pipe)
    with suppress(OSError):
        while not waiter.wait(OWNER_CHECK_SECONDS):
            if os.getppid() != owner:  # a fork of the owner may hold the pipes open
                os.kill(zygote, signal.SIGKILL)
    os.waitpid(zygote, 0)
    remove_folder(folder)  # with namespaces it is empty: no command is needed, and none could be started
    os._exit(0)


def _move_descriptors() -> None:
    """Move the pipes of requests and answers to higher descriptors, away from a program's, and open /dev/null as 0."""
    os.dup2(0, REQUESTS)
    os.dup2(1, ANSWERS)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.closerange(ANSWERS + 1, 256)
    os.closerange(3, REQUESTS)


def _load_with_own_builtins(name: str) -> types.ModuleType:
    """Load a module with its own copy of the built-in functions, since programs can change the interpreter's."""
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    vars(module)["__builtins__"] = dict(vars(builtins))
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _hide_raysweep(packages: list[str]) -> None:
    """Remove raysweep from the modules and paths that programs can look into."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "raysweep"]:
        del sys.modules[name]
    sys.modules["__main__"] = types.ModuleType("__main__")
    for folder in [folder for folder in sys.path if os.path.exists(f"{folder}/raysweep")]:  # noqa: PTH110
        sys.path.remove(folder)
        sys.path_importer_cache.pop(folder, None)
    sys.path += packages
    sys.argv[:] = [""]
