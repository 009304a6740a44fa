"""Starts the process of a slot: namespaces, layers, what programs import most, guards; then it serves (zygote.py).

``python -s -P -S -B -c ... FOLDER SETTINGS``, by slot.py, in a clean interpreter. Two processes: the keeper, outside of
the namespaces, ends the other when the slot's owner has gone and removes the folder; the other is the zygote.
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

from raysweep.execution import isolation, kernel
from raysweep.execution.box import Box
from raysweep.execution.frames import write_frame
from raysweep.execution.isolation import Layers
from raysweep.execution.removal import remove_folder
from raysweep.execution.watch import End
from raysweep.execution.zygote import ANSWERS, REQUESTS, Hands, Zygote

RULES = 12  # descriptor
LOOK_SECONDS = 1.0
"""Between two looks at whether the owner is still there."""
PRELOADED = """
    math cmath re typing collections itertools functools heapq bisect string operator copy fractions numbers
    datetime random json decimal statistics time io textwrap enum contextlib abc ctypes
"""
_APART = ("rewriting", "harmless", "screen", "tested", "decoys", "comparisons", "child")


def main() -> None:
    """Serve the slot whose folder is the first argument; the second has its settings as JSON."""
    folder, settings = sys.argv[1], json.loads(sys.argv[2])
    owner = os.getppid()
    layers = Layers(box=f"{folder}/box")
    try:
        mount = isolation.enter_namespaces(layers, folder, settings["without"])
    except OSError as error:
        write_frame(1, {"no_namespaces": str(error)})
        os._exit(0)
    zygote = os.fork()
    if zygote:
        _keep(zygote, owner, folder)
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
    """Prepare everything that programs share, and tell the slot what stands."""
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    isolation.limit_resources()
    os.makedirs(layers.box, exist_ok=True)  # noqa: PTH103
    isolation.prepare_filters(layers, folder, settings["packages"], settings["without"])
    if layers.rules is not None:
        os.dup2(layers.rules, RULES)
        os.close(layers.rules)
        layers.rules = RULES
    box = Box(layers)
    isolation.prove(layers, os.path.realpath(sys.executable))
    for name in PRELOADED.split():
        importlib.import_module(name)
    random.seed(0)
    for name in ("exit", "quit"):  # what `site` would define
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    warnings.simplefilter("ignore", SyntaxWarning)
    apart = {name: _load_apart(f"raysweep.execution.{name}") for name in _APART}
    guards = _load_apart("raysweep.execution.guards")
    hands = Hands(apart["tested"].prepare, apart["child"], guards.set_up())
    zygote = Zygote(layers, box, hands)
    _forget_raysweep(settings["packages"])
    gc.collect()
    gc.disable()
    write_frame(ANSWERS, {"level": layers.level, "missing": layers.missing})
    return zygote


def _keep(zygote: int, owner: int, folder: str) -> NoReturn:
    """Wait for the zygote, or for the owner to go, and clear up."""
    end = End(zygote)
    for pipe in (0, 1):
        os.close(pipe)
    with suppress(OSError):
        while not end.wait(LOOK_SECONDS):
            if os.getppid() != owner:  # a fork of the owner may still hold the pipes
                os.kill(zygote, signal.SIGKILL)
    os.waitpid(zygote, 0)
    remove_folder(folder)  # empty in namespaces, where no process can be started any more
    os._exit(0)


def _move_descriptors() -> None:
    """Move requests and answers to where no program's descriptor goes; nothing is left on 0."""
    os.dup2(0, REQUESTS)
    os.dup2(1, ANSWERS)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.closerange(ANSWERS + 1, 256)
    os.closerange(3, REQUESTS)


def _load_apart(name: str) -> types.ModuleType:
    """Load a module with builtins of its own: those of the interpreter can be changed by programs."""
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    vars(module)["__builtins__"] = dict(vars(builtins))
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _forget_raysweep(packages: list[str]) -> None:
    """Take the harness out of the tables that programs can look into."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "raysweep"]:
        del sys.modules[name]
    sys.modules["__main__"] = types.ModuleType("__main__")
    for place in [place for place in sys.path if os.path.exists(f"{place}/raysweep")]:  # noqa: PTH110
        sys.path.remove(place)
        sys.path_importer_cache.pop(place, None)
    sys.path += packages
    sys.argv[:] = [""]
