"""What a fork does around the programs that it runs, wherever their tests run.

Forks use it after a program has run, so it calls only built-in functions and types (start.py loads it with its own copy
of the built-in functions).
"""

from __future__ import annotations

import builtins
import gc
import random
import re
import sys
import typing
from collections.abc import Iterable, Set
from os import fstat, ftruncate
from resource import RUSAGE_SELF, getrusage
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import TextIO

from raysweep.execution.python.screen import code_objects, stored_names

NEEDS_OWN_PROCESS = "needs own process"
"""The outcome of a program that must not share a process."""
MAX_GROWTH_KIB = 64 * 2**10  # after programs have taken more memory than this, no further one runs in their process
PROGRAM_BUILTINS = ModuleType("builtins", builtins.__doc__)  # programs may change this copy; libraries don't use it
vars(PROGRAM_BUILTINS).update(vars(builtins))
_BUILTIN_NAMES = frozenset(vars(builtins))
_SEED = 0


def prepare_process() -> int:
    """Turn on garbage collection and copy built-ins; return the KiB beyond which no further program runs here."""
    gc.enable()
    sys.modules["builtins"] = PROGRAM_BUILTINS
    return getrusage(RUSAGE_SELF).ru_maxrss + MAX_GROWTH_KIB


def forget_equal_keys() -> None:
    """Empty the caches of `re` and `typing`, which give what an earlier program made for an equal key.

    ``List[-0.0]`` is ``List[0.0]`` then, and ``re.compile(pattern, 0.0)`` no error.
    """
    re.purge()
    for clear in typing._cleanups:  # type: ignore[attr-defined]
        clear()


def has_grown(largest: int) -> bool:
    """Return True if programs have taken more memory than `largest` KiB: what later ones need may be kept."""
    return getrusage(RUSAGE_SELF).ru_maxrss > largest


def reseed() -> None:
    """Give each program, or its tests, the same random numbers, whichever ran before."""
    random.seed(_SEED)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(_SEED)


def wrote_little(output_bytes: int) -> bool:
    """Empty the output files; return True if a program wrote at most `output_bytes` to stdout and nothing to stderr."""
    sys.stdout.flush()
    sys.stderr.flush()
    written = fstat(1).st_size, fstat(2).st_size
    for descriptor, size in enumerate(written, 1):
        if size:
            ftruncate(descriptor, 0)
    return written[0] <= output_bytes and not written[1]


def flush(streams: Iterable[TextIO]) -> None:
    """Write what a program has printed, so that it counts; the program may have closed or filled the streams."""
    for stream in streams:
        try:
            stream.flush()
        except BaseException:  # which doesn't matter here
            continue


def names_used(candidate: CodeType, imported: Set[str]) -> list[str]:
    if not imported:
        return []
    loaded = {name for code in code_objects(candidate) for name in code.co_names}
    used = (loaded & imported) - _BUILTIN_NAMES
    return sorted(used - stored_names(candidate)) if used else []  # reading all instructions takes a millisecond


def frame_of(traceback: TracebackType) -> FrameType:
    return traceback.tb_frame
